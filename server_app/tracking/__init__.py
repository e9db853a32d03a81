"""A run's numbers and pictures in the trackers that people keep their experiments in."""
