"""How long the parts of a training step take.

May import the rooms base to plots; its siblings plan, stability and theory not.
"""
