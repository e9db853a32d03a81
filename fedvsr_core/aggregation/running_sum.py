"""Weighted sums of named arrays whose bits don't depend on the order of the terms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fedvsr_core.aggregation.threads import shared
from fedvsr_core.errors import AggregationError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_TERMS = 4095
"""Each term takes up to 2^51 of the 2^63 steps that a sum has."""
GROUP = 4
"""Terms that are folded in together: sums are larger than caches, and are read and written once a group."""
BLOCK = 1 << 17
"""Most elements of a block: enough for each step to outweigh its call, few enough to stay in a cache."""


@dataclass(frozen=True)
class _Block:
    """Neighbouring arrays that are worked on together, or a piece of a large one.

    Attributes:
        parts: Names of arrays, and what of each of them, made flat, is in the block.
        place: Where they lie in a sum.
    """

    parts: list[tuple[str, slice]]
    place: slice

    def __len__(self) -> int:
        return int(self.place.stop - self.place.start)


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
        self._like: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._blocks: list[_Block] = []
        self._sums: Integers = np.empty((len(scales), 0), np.int64)  # (sums, elements of all arrays)
        self._carries: dict[tuple[int, int], Integers] = {}  # by sum and start of the block
        self._waiting: list[tuple[dict[str, np.ndarray], Sequence[float]]] = []
        self._terms = 0

    def clear(self) -> None:
        """Start anew in the memory that is there."""
        self._carries.clear()
        self._waiting.clear()
        self._terms = 0

    def add(
        self, arrays: Mapping[str, np.ndarray], factors: Sequence[float], magnitudes: Mapping[str, float]
    ) -> None:
        """Add arrays to every sum; they must not change until `GROUP` are together, or `combine` is called.

        Args:
            arrays: Floating-point arrays; names, shapes and dtypes are the same each time.
            factors: For each sum, what the arrays are multiplied by; below 2^30 in magnitude.
            magnitudes: The largest magnitude in each array, below 2^20.

        Raises:
            AggregationError: If there are more than `MOST_TERMS` terms.
        """
        if self._terms + len(self._waiting) == MOST_TERMS:
            raise AggregationError(
                f"a sum takes at most {MOST_TERMS} updates; draw fewer clients for a round"
            )
        if self._terms + len(self._waiting) == 0:
            self._allocate(arrays)
        for which, (factor, limit) in enumerate(zip(factors, self._limits, strict=True)):
            if large := {name for name, found in magnitudes.items() if found * abs(factor) >= limit}:
                for block in self._blocks:
                    if any(name in large for name, _ in block.parts):
                        self._carries.setdefault((which, block.place.start), np.zeros(len(block), np.int64))
        self._waiting.append(({name: array.reshape(-1) for name, array in arrays.items()}, factors))
        if len(self._waiting) == GROUP:
            self._fold()

    def combine(self, coefficients: Sequence[float]) -> Iterator[tuple[str, np.ndarray]]:
        """Add up the sums, each times its coefficient.

        Yields:
            Name and values of each array, with the shape and the dtype that it was added with.
        """
        self._fold()
        combined = {name: np.empty(*like) for name, like in self._like.items()}
        shared(partial(self._combine, combined, coefficients), self._blocks)
        for name in self._like:
            yield name, combined.pop(name)

    def _combine(
        self, combined: dict[str, np.ndarray], coefficients: Sequence[float], blocks: Iterator[_Block]
    ) -> None:
        multiples, products, totals = np.empty(BLOCK, np.int64), np.empty(BLOCK), np.empty(BLOCK)
        for block in blocks:
            multiple, product, total = multiples[: len(block)], products[: len(block)], totals[: len(block)]
            total[:] = 0
            for which, (coefficient, limit) in enumerate(zip(coefficients, self._limits, strict=True)):
                if coefficient == 0:
                    continue
                np.subtract(self._sums[which, block.place], _as_integer(3 * limit, self._terms), out=multiple)
                np.multiply(multiple, coefficient * limit * 2.0**-51, out=product)
                total += product
                if (which, block.place.start) in self._carries:
                    total += self._carries[which, block.place.start] * (coefficient * limit * 2)
            done = 0
            for name, piece in block.parts:
                size = piece.stop - piece.start
                combined[name].reshape(-1)[piece] = total[done : done + size]
                done += size

    def _fold(self) -> None:
        shared(self._fold_blocks, self._blocks)
        self._terms += len(self._waiting)
        self._waiting.clear()

    def _fold_blocks(self, blocks: Iterator[_Block]) -> None:
        last = len(self._limits) - 1  # the product of the last sum may overwrite the value
        values, products = np.empty(BLOCK), np.empty(BLOCK)
        for block in blocks:
            value, product = values[: len(block)], products[: len(block)]
            sums = self._sums[:, block.place]
            if self._terms == 0:
                sums[:] = 0
            for arrays, factors in self._waiting:
                np.concatenate([arrays[name][piece] for name, piece in block.parts], out=value)
                for which, (factor, limit) in enumerate(zip(factors, self._limits, strict=True)):
                    out = value if which == last else product
                    term = value if factor == 1 else np.multiply(value, factor, out=out)
                    if (which, block.place.start) in self._carries:
                        multiples, term = _split(term, limit)
                        self._carries[which, block.place.start] += multiples
                    np.add(term, 3 * limit, out=out)
                    sums[which] += out.view(np.int64)

    def _allocate(self, arrays: Mapping[str, np.ndarray]) -> None:
        like = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        if like == self._like:
            return
        self._like, self._blocks = like, []
        parts: list[tuple[str, slice]] = []
        begin = end = 0  # of the block in the sum
        for name, array in arrays.items():
            for start in range(0, max(array.size, 1), BLOCK):
                piece = slice(start, min(start + BLOCK, array.size))
                if end + piece.stop - piece.start - begin > BLOCK:
                    self._blocks.append(_Block(parts, slice(begin, end)))
                    parts, begin = [], end
                parts.append((name, piece))
                end += piece.stop - piece.start
        self._blocks.append(_Block(parts, slice(begin, end)))
        # One array, not one for each block: the system has large pages for it.
        self._sums = np.empty((len(self._limits), end), np.int64)


def _split(term: Floats, limit: float) -> tuple[Integers, Floats]:
    """Split into multiples of ``2 * limit`` and a rest of at most ``limit``."""
    anchor = 3 * 2.0**52 * limit
    anchored = term + anchor
    return anchored.view(np.int64) - _as_integer(anchor, 1), term - (anchored - anchor)


def _as_integer(anchor: float, times: int) -> np.int64:
    """The bits of a float as an integer, that many times, modulo 2^64 as all sums here are."""
    bits = times * int(np.float64(anchor).view(np.int64)) % 2**64
    return np.uint64(bits).astype(np.int64)
