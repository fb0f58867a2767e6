"""What to run: flags, the cells of each table, the control suites, progress.

May import the rooms base to plots; its siblings speed and theory not.
"""
