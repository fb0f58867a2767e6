"""Rooms of what the run_*.py scripts share: each folder has one purpose.

The docstring of each says what lives there and which rooms it may import.
"""
