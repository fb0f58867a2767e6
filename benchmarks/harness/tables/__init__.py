"""Documents, tables, gains and verdicts as data, and how they read as text and HTML.

May import the rooms before it: base to sweep.
"""
