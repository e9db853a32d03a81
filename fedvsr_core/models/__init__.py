"""Video super-resolution networks, one published model a module."""
