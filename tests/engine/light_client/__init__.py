"""A ClientApp for tests of what is around it: it waits instead of training."""
