"""Streams of random words from a key: added to what is sent, and taken off the sum again."""

from collections.abc import Iterator, Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedvsr_core.secure.fixed_point import SCALAR_BYTES, unpack_scalars

KEY_BYTES = 32
_BLOCK = 1 << 18
"""Bytes that are made at a time; they stay in a core's cache."""


def derive_key(secret: bytes, *purpose: bytes) -> bytes:
    """A key for one purpose from a secret (HKDF with SHA-256).

    Args:
        secret: At least 32 random bytes, or an agreed one.
        purpose: What sets this use apart from every other.
    """
    info = b"fedvsr secure aggregation" + b"".join(len(word).to_bytes(4, "big") + word for word in purpose)
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret)


def add_mask(words: np.ndarray, key: bytes, sign: int) -> None:
    """Add the stream of a key to words, in place, or subtract it.

    Args:
        words: Unsigned, contiguous, little-endian; changed.
        key: 32 bytes, for no other stream.
        sign: 1 or -1.
    """
    combine = np.add if sign > 0 else np.subtract
    start, each = 0, _BLOCK // words.itemsize
    for block in _stream(key, words.nbytes):
        mask = np.frombuffer(block, words.dtype)
        combine(words[start : start + each], mask, out=words[start : start + each])
        start += each


def add_scalar_masks(numbers: Sequence[int], key: bytes, sign: int) -> list[int]:
    """The same for scalars; returns them, not yet reduced."""
    stream = b"".join(bytes(block) for block in _stream(key, len(numbers) * SCALAR_BYTES))
    return [number + sign * mask for number, mask in zip(numbers, unpack_scalars(stream), strict=True)]


def _stream(key: bytes, size: int) -> Iterator[memoryview]:
    """AES-256 in counter mode, in blocks that share their memory."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    zeros, block = bytes(_BLOCK), bytearray(_BLOCK + 16)
    for start in range(0, size, _BLOCK):
        length = min(_BLOCK, size - start)
        encryptor.update_into(memoryview(zeros)[:length], block)
        yield memoryview(block)[:length]
