"""A ClientApp for tests: the real one, but for the faults that a plan asks of it."""
