"""One run: its model, its training, its checkpoint.

May import the rooms before it: base, store, data, views.
"""
