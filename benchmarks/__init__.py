"""Scripts that reproduce the tables of the paper (arXiv 2403.18681)."""
