"""From images to batches of augmented views.

May import the rooms before it: base, store, data.
"""
