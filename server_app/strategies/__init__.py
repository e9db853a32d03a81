"""Server halves of the federated algorithms."""
