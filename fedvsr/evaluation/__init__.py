"""Scoring a checkpoint or frames that anyone has upscaled: what is scored, how, and the files it leaves."""
