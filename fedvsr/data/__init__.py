"""Checks of videos before they are trained on, and their preparation."""
