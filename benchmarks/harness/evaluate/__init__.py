"""What is measured of a trained backbone and its head.

May import the rooms before it: base to train.
"""
