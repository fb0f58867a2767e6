"""Where a head collapses: many short trainings in other people's recipes.

May import the rooms base to plots; its siblings plan, speed and theory not.
"""
