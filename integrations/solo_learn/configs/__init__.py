"""Hydra configs for solo-learn, in its own layout."""
