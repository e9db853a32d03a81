"""Secrets of 32 bytes in shares, of which a threshold tells all and fewer tell nothing (Shamir 1979)."""

from collections.abc import Mapping

from Crypto.Protocol.SecretSharing import Shamir

_HALF = 16  # bytes that Shamir's polynomials over GF(2^128) take at once
SHARE_BYTES = 2 * _HALF


def split(secret: bytes, threshold: int, holders: int) -> list[bytes]:
    """Shares of a secret for the holders 1, 2, ..., in their order.

    Args:
        secret: 32 bytes.
        threshold: How many shares tell it.
        holders: How many there are.
    """
    halves = [Shamir.split(threshold, holders, secret[at : at + _HALF], False) for at in (0, _HALF)]
    return [left + right for (_, left), (_, right) in zip(*halves, strict=True)]


def join(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret of at least a threshold of shares.

    Args:
        shares: By the number of the holder, from 1.
        threshold: As it was split with.
    """
    some = sorted(shares.items())[:threshold]
    return b"".join(
        Shamir.combine([(holder, share[at : at + _HALF]) for holder, share in some], False)
        for at in (0, _HALF)
    )
