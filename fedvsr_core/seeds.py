"""Seeds that depend on what is computed, never on what was computed before."""

from hashlib import blake2b
from urllib.parse import quote


def derive(*parts: int | str) -> int:
    """A seed from names and numbers, such as ``derive(seed, "train", round, client)``.

    Args:
        parts: Whatever sets this use of randomness apart from every other.

    Returns:
        An integer in [0, 2**63), the same on every machine and in every process.
    """
    text = "/".join(f"{type(part).__name__}:{quote(str(part), safe='')}" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
