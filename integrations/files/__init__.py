"""Files that appear whole or not at all, and pictures opened safely."""
