"""Video and arithmetic: what both apps share."""
