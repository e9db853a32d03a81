"""What a federation of separate machines needs: keys, settings, and the commands that start its processes."""
