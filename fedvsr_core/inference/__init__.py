"""Upscaling whole videos with a trained model."""
