"""Looking at a run while it goes on, in a terminal or in a browser."""
