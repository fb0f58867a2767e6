"""The theorems of the paper on random data.

May import the rooms base to plots; its siblings plan, speed and stability not.
"""
