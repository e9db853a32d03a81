"""Weighted sums of named arrays whose bits don't depend on the order of the terms."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from fedvsr_core.errors import AggregationError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Piece = tuple[str, slice, slice]
"""A piece of a named array, and where it lies in a sum."""

MOST_TERMS = 4095
"""Each term takes up to 2^51 of the 2^63 steps that a sum has."""
CHUNK = 1 << 15
"""Elements of a piece: what one step works on stays in the processor's cache."""
MOST_THREADS = 4
PIECES_A_THREAD = 32
"""Fewer aren't worth a thread."""


class RunningSums:
    """Sums of the same arrays with different factors; what they keep doesn't grow with the number of terms.

    Replies arrive in any order, and float addition isn't associative: two runs would differ in the last bit,
    then in all. So each product ``factor * value`` is rounded to a multiple of a fixed unit, by itself, and
    the multiples are added as 64-bit integers, where no order exists. Compared with adding floats this costs
    nothing: adding an anchor, 1.5 * 2^52 units, leaves the multiple in the low bits of the float, which are
    then read as an integer.

    The unit is ``scale`` * 2^-47. With scale and factor 1 that's 7e-15: float32 values between 1e-7 and 16
    lose nothing, smaller ones are exact to half a unit. Products from 16 * ``scale`` on are split first: a
    second integer array, made when such a value turns up, takes the multiples of 32 * ``scale``, the first
    one the rest.

    Args:
        scales: For each sum, a power of two that factors are usually near.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        self._limits = [16 * scale for scale in scales]
        self._sums: Integers = np.zeros((len(scales), 0), np.int64)  # (sums, elements of all arrays)
        self._carries: dict[tuple[int, str], Integers] = {}
        self._like: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._pieces: list[Piece] = []
        self._terms = 0

    def add(self, arrays: Mapping[str, np.ndarray], factors: Sequence[float]) -> None:
        """Add arrays to every sum.

        Args:
            arrays: Floating-point arrays below 2^20 in magnitude; names, shapes and dtypes are the same each
                time.
            factors: For each sum, what the arrays are multiplied by; below 2^30 in magnitude.

        Raises:
            AggregationError: If there are more than `MOST_TERMS` terms.
        """
        if self._terms == MOST_TERMS:
            raise AggregationError(
                f"a sum takes at most {MOST_TERMS} updates; draw fewer clients for a round"
            )
        if self._terms == 0:
            self._allocate(arrays)
        self._terms += 1
        flat = {name: array.reshape(-1) for name, array in arrays.items()}
        for name, array in flat.items():
            largest = max(float(array.max()), -float(array.min())) if array.size else 0.0
            for which, (factor, limit) in enumerate(zip(factors, self._limits, strict=True)):
                if largest * abs(factor) >= limit and (which, name) not in self._carries:
                    self._carries[which, name] = np.zeros(array.size, np.int64)

        def fold(pieces: Sequence[Piece]) -> None:
            values, products = np.empty(CHUNK), np.empty(CHUNK)
            for name, piece, place in pieces:
                value, product = values[: piece.stop - piece.start], products[: piece.stop - piece.start]
                np.copyto(value, flat[name][piece])
                for which, (factor, limit) in enumerate(zip(factors, self._limits, strict=True)):
                    np.multiply(value, factor, out=product)
                    if (which, name) in self._carries:
                        self._carries[which, name][piece] += _split(product, limit)
                    product += 3 * limit
                    self._sums[which, place] += product.view(np.int64)

        self._in_parallel(fold)

    def combine(self, coefficients: Sequence[float]) -> dict[str, np.ndarray]:
        """Add up the sums, each times its coefficient.

        Returns:
            Arrays with the names, shapes and dtypes of those that were added.
        """
        combined = {name: np.empty(shape, dtype) for name, (shape, dtype) in self._like.items()}
        flat = {name: array.reshape(-1) for name, array in combined.items()}

        def finish(pieces: Sequence[Piece]) -> None:
            for name, piece, place in pieces:
                total = np.zeros(piece.stop - piece.start)
                for which, (coefficient, limit) in enumerate(zip(coefficients, self._limits, strict=True)):
                    if coefficient == 0:
                        continue
                    multiples = self._sums[which, place] - _as_integer(3 * limit, self._terms)
                    total += multiples * (coefficient * limit * 2.0**-51)
                    if (which, name) in self._carries:
                        total += self._carries[which, name][piece] * (coefficient * limit * 2)
                flat[name][piece] = total

        self._in_parallel(finish)
        return combined

    def _allocate(self, arrays: Mapping[str, np.ndarray]) -> None:
        end = 0
        for name, array in arrays.items():
            self._like[name] = array.shape, array.dtype
            for start in range(0, array.size, CHUNK):
                stop = min(start + CHUNK, array.size)
                self._pieces.append((name, slice(start, stop), slice(end + start, end + stop)))
            end += array.size
        # One block, not one for each array: the system has large pages for it.
        self._sums = np.zeros((len(self._limits), end), np.int64)

    def _in_parallel(self, work: Callable[[Sequence[Piece]], None]) -> None:
        threads = min(MOST_THREADS, os.cpu_count() or 1, 1 + len(self._pieces) // PIECES_A_THREAD)
        if threads == 1:
            work(self._pieces)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, [self._pieces[first::threads] for first in range(threads)]))


def _split(product: Floats, limit: float) -> Integers:
    """Take multiples of ``2 * limit`` out of products, leaving at most ``limit`` in place; return them."""
    anchored = product + 3 * 2.0**52 * limit
    product -= anchored - 3 * 2.0**52 * limit
    return np.asarray(anchored.view(np.int64) - _as_integer(3 * 2.0**52 * limit, 1))


def _as_integer(anchor: float, times: int) -> np.int64:
    """The bits of a float as an integer, that many times, modulo 2^64 as all sums here are."""
    bits = times * int(np.float64(anchor).view(np.int64)) % 2**64
    return np.uint64(bits).astype(np.int64)
