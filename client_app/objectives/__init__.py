"""Client halves of the federated algorithms: what one site minimises."""
