"""Shares of a client's secrets, on their way through the server to those who hold them."""

import json
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedvsr_core.errors import SecureError
from fedvsr_core.secure.agreement import agreed_key

_NONCE_BYTES = 12


def seal(package: bytes, private: bytes, public: bytes, sender: str, receiver: str, about: bytes) -> bytes:
    """Encrypt a package for one client.

    Args:
        package: What it gets.
        private: The sender's key.
        public: The receiver's.
        sender: Its name.
        receiver: Its name.
        about: Which session this is, the same for all: run, round and all public keys are in it.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(private, public, about).encrypt(nonce, package, _bound(sender, receiver, about))


def unseal(sealed: bytes, private: bytes, public: bytes, sender: str, receiver: str, about: bytes) -> bytes:
    """Decrypt a package.

    Args:
        sealed: As it came.
        private: The receiver's key.
        public: The sender's.
        sender: As for `seal`.
        receiver: As for `seal`.
        about: As for `seal`.

    Raises:
        SecureError: If it isn't what that sender sealed for this receiver in this session.
    """
    try:
        return _cipher(private, public, about).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(sender, receiver, about)
        )
    except (InvalidTag, ValueError) as error:
        raise SecureError(f"the shares of '{sender}' for '{receiver}' were changed on their way") from error


def _cipher(private: bytes, public: bytes, about: bytes) -> AESGCM:
    return AESGCM(agreed_key(private, public, b"shares", about))


def _bound(sender: str, receiver: str, about: bytes) -> bytes:
    return json.dumps([about.hex(), sender, receiver]).encode()
