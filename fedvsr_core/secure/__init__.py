"""Secure aggregation: the mathematics and the cryptography that a client and the server share."""
