"""Flower's programs as far as the command ``fedvsr`` deals with them, which start within a moment."""
