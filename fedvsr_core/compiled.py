"""Loops that numba compiles, kept on disk for the processes that come after."""

from collections.abc import Callable
from typing import TypeVar

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """Compile a function at its first call, in seconds, for this CPU; later processes load that in 0.1 s.

    It runs without Python's lock. Nothing is reordered or contracted: results are, to the bit, those of the
    operations as they are written. Arrays of another layout, or that can't be written to, are compiled anew.

    Numba puts what it made into ``__pycache__`` beside the module, or below ``~/.cache`` where that can't be
    written to, under the module's time and size. Where neither can, each process compiles for itself.
    """
    return _njit(loop, {})


def compiled_sums(loop: Loop) -> Loop:
    """As `compiled`, but reordered and contracted as is fastest: for sums whose last bits don't matter."""
    return _njit(loop, {"fastmath": {"arcp", "contract", "nsz", "reassoc"}})


def _njit(loop: Loop, options: dict[str, object]) -> Loop:
    try:
        return njit(nogil=True, cache=True, **options)(loop)  # type: ignore[no-any-return]
    except RuntimeError:  # there is no folder for it
        return njit(nogil=True, **options)(loop)  # type: ignore[no-any-return]
