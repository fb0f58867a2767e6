"""RESULTS.md and report.html from result files.

May import every other room.
"""
