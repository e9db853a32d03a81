"""The ``fedvsr`` command."""
