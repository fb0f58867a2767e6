"""What everything else stands on: one run as data, the paper's numbers, errors, statistics.

Imports no other room.
"""
