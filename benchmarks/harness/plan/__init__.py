"""What to run: flags, the cells of each table, the control suites, progress.

May import the rooms base to plots; its siblings speed, stability and theory not.
"""
