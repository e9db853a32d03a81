"""Sums and bounds over the arrays of many clients."""
