"""From client updates to one model, in numpy and numba."""
