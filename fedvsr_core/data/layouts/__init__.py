"""How published datasets, and your own, lie on disk."""
