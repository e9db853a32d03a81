"""Comparing strategies: runs of equal budget, and what they show."""
