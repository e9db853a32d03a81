"""Scores of a model on video whose ground truth is known."""
