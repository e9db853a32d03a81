"""Scores of an upscaled video against its ground truth."""
