"""What a person uses: the command line and what is behind it."""
