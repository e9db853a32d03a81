"""Model weights on disk."""
