"""Figures.

May import the rooms before it: base to tables.
"""
