"""Accuracies, gains and verdicts as data, and how they read.

May import the rooms before it: base to sweep.
"""
