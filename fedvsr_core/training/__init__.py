"""Local optimisation."""
