"""Weighted sums of named arrays whose bits don't depend on the order of the terms."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fedvsr_core.errors import AggregationError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_TERMS = 4095
"""Each term takes up to 2^51 of the 2^63 steps that a sum has."""
CHUNK = 1 << 15  # elements: what one step works on stays in the processor's cache


class RunningSums:
    """Sums of the same arrays with different factors, folded in one after the other; their size is all they keep.

    Replies arrive in any order, and float addition isn't associative: two runs would differ in the last bit, then in
    all. So each product ``factor * value`` is rounded to a multiple of a fixed unit, by itself, and the multiples are
    added as 64-bit integers, where no order exists. Compared with adding floats this costs nothing: adding an anchor,
    1.5 * 2^52 units, leaves the multiple in the low bits of the float, which are then read as an integer.

    The unit is ``scale`` * 2^-47 (7e-15 for 1): a float32 loses nothing while ``factor / scale * |value|`` is between
    1e-7 and 16, smaller values are exact to half a unit. Products from 16 * ``scale`` on are first split: a second
    integer array, made when such a value turns up, takes the multiples of 32 * ``scale``, the first one the rest.

    Args:
        scales: For each sum, a power of two that factors are usually near.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        self._limits = [16 * scale for scale in scales]
        self._sums: Integers | None = None  # (sums, elements of all arrays)
        self._carries: dict[tuple[int, str], Integers] = {}
        self._places: dict[str, slice] = {}
        self._terms = 0

    def add(self, arrays: Mapping[str, np.ndarray], factors: Sequence[float]) -> None:
        """Add arrays to every sum.

        Args:
            arrays: Floating-point arrays, below 2^20 in magnitude; names and shapes are the same in every call.
            factors: For each sum, what the arrays are multiplied by; below 2^30 in magnitude.

        Raises:
            AggregationError: If there are more than `MOST_TERMS` terms.
        """
        if self._terms == MOST_TERMS:
            raise AggregationError(f"a sum takes at most {MOST_TERMS} updates; draw fewer clients for a round")
        self._terms += 1
        if self._sums is None:
            self._sums = self._allocate(arrays)
        values, products = np.empty(CHUNK), np.empty(CHUNK)
        for name, array in arrays.items():
            flat, first = array.reshape(-1), self._places[name].start
            for start in range(0, flat.size, CHUNK):
                chunk = flat[start : start + CHUNK]
                exact, product = values[: chunk.size], products[: chunk.size]
                np.copyto(exact, chunk)
                largest = float(max(chunk.max(), -chunk.min()))
                for which, (factor, limit) in enumerate(zip(factors, self._limits, strict=True)):
                    np.multiply(exact, factor, out=product)
                    if largest * abs(factor) >= limit:
                        self._carry(which, name, flat.size)[start : start + CHUNK] += _split(product, limit)
                    product += 3 * limit
                    total = self._sums[which, first + start : first + start + chunk.size]
                    total += product.view(np.int64)

    def combine(self, coefficients: Sequence[float]) -> Iterator[tuple[str, Floats]]:
        """Add up the sums, each times its coefficient.

        Yields:
            Name and flat values of each array, in the order of the first update.
        """
        for name, place in self._places.items():
            total = np.zeros(place.stop - place.start)
            for which, (coefficient, limit) in enumerate(zip(coefficients, self._limits, strict=True)):
                if coefficient == 0 or self._sums is None:
                    continue
                multiples = self._sums[which, place] - _as_integer(3 * limit, self._terms)
                total += multiples * (coefficient * limit * 2.0**-51)
                if (which, name) in self._carries:
                    total += self._carries[which, name] * (coefficient * limit * 2)
            yield name, total

    def _allocate(self, arrays: Mapping[str, np.ndarray]) -> Integers:
        end = 0
        for name, array in arrays.items():
            self._places[name] = slice(end, end + array.size)
            end += array.size
        return np.zeros((len(self._limits), end), dtype=np.int64)  # one block: the system has large pages for it

    def _carry(self, which: int, name: str, size: int) -> Integers:
        if (which, name) not in self._carries:
            self._carries[which, name] = np.zeros(size, dtype=np.int64)
        return self._carries[which, name]


def _split(product: Floats, limit: float) -> Integers:
    """Take multiples of ``2 * limit`` out of products in place, leaving at most ``limit``; return the multiples."""
    anchored = product + 3 * 2.0**52 * limit
    product -= anchored - 3 * 2.0**52 * limit
    return np.asarray(anchored.view(np.int64) - _as_integer(3 * 2.0**52 * limit, 1))


def _as_integer(anchor: float, times: int) -> np.int64:
    """The bits of a float as an integer, that many times, modulo 2^64 as all sums here are."""
    bits = times * int(np.float64(anchor).view(np.int64)) % 2**64
    return np.uint64(bits).astype(np.int64)
