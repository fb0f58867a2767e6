"""Result files and the locks on them.

May import base.
"""
