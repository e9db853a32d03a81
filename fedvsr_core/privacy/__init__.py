"""What differential privacy promises, in numbers."""
