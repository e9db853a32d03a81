"""Work on arrays, shared out among threads: compiled loops let go of the interpreter."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 4
LEAST_ITEMS = 8
"""Fewer for a thread don't pay for starting it."""


def shared(work: Callable[[Iterator[T]], R], items: Iterable[T]) -> list[R]:
    """Let threads work on the same items: each takes the next one when it is done with its last.

    Args:
        work: Called once by each thread with what all of them draw from.
        items: The work; independent of each other, so that it doesn't matter who does which.

    Returns:
        What each thread returned.
    """
    whole = list(items)
    threads = min(MOST_THREADS, os.cpu_count() or 1, 1 + len(whole) // LEAST_ITEMS)
    remaining = iter(whole)
    if threads == 1:
        return [work(remaining)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, [remaining] * threads))
