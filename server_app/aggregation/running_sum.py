"""Weighted sums of named arrays whose bits don't depend on the order of the terms."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from fedvsr_core.errors import AggregationError
from server_app.aggregation.kernels import Floats, Integers, Values, add_four, weigh
from server_app.aggregation.threads import shared

MOST_TERMS = 4095
"""Each term takes up to 2^51 of the 2^63 steps that a sum has."""
GROUP = 4
"""Terms that are added together: as many as `add_four` takes."""

Term = tuple[Mapping[str, Values], Sequence[float]]  # flat arrays by name, and a factor for each sum


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
        self._limits = 16.0 * np.array(scales)
        self._like: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._sums: dict[str, Integers] = {}  # each (sums, values)
        self._carries: dict[str, Integers] = {}  # the same, of arrays that need it
        self._waiting: list[Term] = []
        self._terms = 0
        self._anchored = 0  # terms in the sums, and what stood in for one

    def clear(self) -> None:
        """Start anew in the memory that is there."""
        self._carries.clear()
        self._waiting.clear()
        self._terms = self._anchored = 0

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
        if self._terms == MOST_TERMS:
            raise AggregationError(
                f"a sum takes at most {MOST_TERMS} updates; draw fewer clients for a round"
            )
        if self._terms == 0:
            self._allocate(arrays)
        factors_and_limits = list(zip(factors, self._limits.tolist(), strict=True))
        for name, magnitude in magnitudes.items():
            large = any(magnitude * abs(factor) >= limit for factor, limit in factors_and_limits)
            if large and name not in self._carries:
                self._carries[name] = np.zeros_like(self._sums[name])
        self._waiting.append(({name: _flat(array) for name, array in arrays.items()}, factors))
        self._terms += 1
        if len(self._waiting) == GROUP:
            self._fold()

    def combine(self, coefficients: Sequence[float]) -> Iterator[tuple[str, np.ndarray]]:
        """Add up the sums, each times its coefficient.

        Yields:
            Name and values of each array, with the shape and the dtype that it was added with.
        """
        self._fold()
        combined = {name: np.empty(*like) for name, like in self._like.items()}
        shared(partial(self._combine, combined, coefficients), self._like)
        for name in self._like:
            yield name, combined.pop(name)

    def _combine(
        self, combined: dict[str, np.ndarray], coefficients: Sequence[float], names: Iterator[str]
    ) -> None:
        units = np.array(coefficients) * self._limits * 2.0**-51
        offsets = np.array([_as_integer(3 * limit, self._anchored) for limit in self._limits])
        for name in names:
            out, carries = combined[name].reshape(-1), self._carries.get(name)
            values = out if carries is None and out.dtype != np.float16 else np.empty(out.size)
            weigh(self._sums[name], offsets, units, values)
            if carries is not None:
                values += (np.array(coefficients) * self._limits * 2) @ carries
            if values is not out:
                out[:] = values

    def _fold(self) -> None:
        if self._waiting:
            missing = GROUP - len(self._waiting)
            nothing: Term = self._waiting[0][0], [0.0] * len(self._limits)
            shared(partial(self._fold_arrays, [*self._waiting, *[nothing] * missing]), self._like)
            self._anchored += GROUP
            self._waiting.clear()

    def _fold_arrays(self, terms: Sequence[Term], names: Iterator[str]) -> None:
        factors = np.array([factors for _, factors in terms]).T.copy()  # (sums, terms)
        for name in names:
            sums = self._sums[name]
            if self._anchored == 0:
                sums[:] = 0
            for which, limit in enumerate(self._limits):
                flat = [arrays[name] for arrays, _ in terms]
                if name in self._carries:
                    _add_large(flat, factors[which], limit, sums[which], self._carries[name][which])
                else:
                    add_four(*flat, factors[which], 3 * limit, sums[which])

    def _allocate(self, arrays: Mapping[str, np.ndarray]) -> None:
        like = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        if like == self._like:
            return
        self._like = like
        # One array for all of them: the system has large pages for it.
        whole = np.empty((len(self._limits), sum(array.size for array in arrays.values())), np.int64)
        ends = np.cumsum([array.size for array in arrays.values()])
        self._sums = dict(zip(arrays, np.split(whole, ends[:-1], axis=1), strict=True))


def _flat(array: np.ndarray) -> Values:
    """All values as float32 or float64, aligned and read-only: what the loops were compiled for."""
    flat = np.require(array.reshape(-1), np.promote_types(array.dtype, np.float32), "A").view()
    flat.flags.writeable = False
    return flat


def _add_large(
    arrays: Sequence[Values], factors: Floats, limit: float, total: Integers, carry: Integers
) -> None:
    """Add arrays to a sum as `add_four` does, and the multiples of ``2 * limit`` among them to its carry."""
    anchor = 3 * 2.0**52 * limit
    for array, factor in zip(arrays, factors, strict=True):
        product = np.multiply(array, factor, dtype=np.float64)
        anchored = product + anchor
        carry += anchored.view(np.int64) - _as_integer(anchor, 1)
        total += (product - (anchored - anchor) + 3 * limit).view(np.int64)


def _as_integer(anchor: float, times: int) -> np.int64:
    """The bits of a float as an integer, that many times, modulo 2^64 as all sums here are."""
    bits = times * int(np.float64(anchor).view(np.int64)) % 2**64
    return np.uint64(bits).astype(np.int64)
