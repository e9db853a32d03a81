"""Real numbers as integers modulo a power of two: what is masked and added."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedvsr_core.errors import ConfigurationError

Words = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]
"""A vector of integers modulo ``2**32`` or ``2**64``."""

_MOST_BITS = 40
"""A float64 has 53, and values above one take some of them."""

SCALAR_BYTES = 48
"""Of one scalar: an integer modulo ``2**384``."""
_SCALAR_POINT, _SCALAR_MODULUS = 256, 1 << (8 * SCALAR_BYTES)


@dataclass(frozen=True)
class FixedPoint:
    """How the values of a vector become words.

    Attributes:
        bits: After the binary point.
        word_bits: 32 or 64.
    """

    bits: int
    word_bits: int

    @classmethod
    def that_holds(cls, largest: float, least_bits: int) -> "FixedPoint":
        """The finest one for sums of a size: in 32 bits if there is room for ``least_bits``, else in 64.

        Args:
            largest: Magnitude that no sum exceeds, > 0.
            least_bits: Bits after the point that there must be.

        Raises:
            ConfigurationError: If 64 bits don't hold them either.
        """
        for word_bits in (32, 64):
            room = word_bits - 2 - math.ceil(math.log2(largest))  # a bit for the sign, one for roundings
            if room >= least_bits:
                return cls(min(room, _MOST_BITS), word_bits)
        raise ConfigurationError(
            f"sums of up to {largest:g} with {least_bits} bits after the point don't fit into 64 bits; lower"
            " secure.clip or secure.bits"
        )

    @property
    def error(self) -> float:
        """Largest error of one encoded value."""
        return 2.0 ** -(self.bits + 1)

    @property
    def dtype(self) -> np.dtype:
        """Of the words, as they travel."""
        return np.dtype(f"<u{self.word_bits // 8}")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Words of some values; negative ones wrap around."""
        return np.rint(np.ldexp(values.astype(np.float64), self.bits)).astype(np.int64).astype(self.dtype)

    def decode(self, words: np.ndarray) -> np.ndarray:
        """Float64 values of some words."""
        signed = words.astype(f"i{self.word_bits // 8}").astype(np.float64)
        return np.asarray(np.ldexp(signed, -self.bits))


def encode_scalars(values: Sequence[Fraction | float]) -> list[int]:
    """Scalars as integers modulo ``2**384``, to 2**-257."""
    return [round(Fraction(value) * 2**_SCALAR_POINT) % _SCALAR_MODULUS for value in values]


def random_scalar() -> Fraction:
    """One that is any with equal probability: whatever it is added to is as random."""
    return Fraction(secrets.randbits(8 * SCALAR_BYTES), 2**_SCALAR_POINT)


def decode_scalars(numbers: Sequence[int]) -> list[Fraction]:
    """What such integers, or their sums, stand for."""
    half = _SCALAR_MODULUS // 2
    return [Fraction((number + half) % _SCALAR_MODULUS - half, 2**_SCALAR_POINT) for number in numbers]


def pack_scalars(numbers: Sequence[int]) -> bytes:
    """As they travel."""
    return b"".join((number % _SCALAR_MODULUS).to_bytes(SCALAR_BYTES, "little") for number in numbers)


def unpack_scalars(packed: bytes) -> list[int]:
    """Back again; what doesn't fill a whole scalar is left out."""
    ends = range(SCALAR_BYTES, len(packed) + 1, SCALAR_BYTES)
    return [int.from_bytes(packed[end - SCALAR_BYTES : end], "little") for end in ends]
