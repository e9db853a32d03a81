"""Secrets that two clients agree on without a word: X25519."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedvsr_core.errors import SecureError
from fedvsr_core.secure.masks import derive_key


def public_of(private: bytes) -> bytes:
    """The public key of a private one, 32 bytes each."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agreed_key(private: bytes, public: bytes, *purpose: bytes) -> bytes:
    """The key that one's own private and another's public key make, which the other gets as well.

    Args:
        private: One's own.
        public: The other's.
        purpose: As `derive_key`; the same on both sides.

    Raises:
        SecureError: If the other's isn't a key that makes a secret.
    """
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(
            X25519PublicKey.from_public_bytes(public)
        )
    except ValueError as error:
        raise SecureError(f"a peer's public key must be one of X25519, but: {error}") from error
    return derive_key(shared, *purpose)
