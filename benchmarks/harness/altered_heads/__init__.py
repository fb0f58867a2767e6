"""Heads for experiments only: the Transformer head with one part of every block exchanged.

Each exchange is a function from a block to what takes its place, with the block's weights where
there are some to keep. May import the room base.
"""
