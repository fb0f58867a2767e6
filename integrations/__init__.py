"""Adapters for the libraries people already train with."""
