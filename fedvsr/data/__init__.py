"""Looking at video before it is trained on, and preparing it."""
