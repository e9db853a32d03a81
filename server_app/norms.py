"""How far a client's update usually goes."""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

_FEWEST, _ENOUGH = 3, 4
"""Fewer norms tell nothing: of two, nobody knows which is honest. So many are enough without earlier ones."""


class Norms:
    """The norms of a round's updates, and in small rounds those of the rounds before: what is usual.

    What is usual is the lower median: whatever fewer than half of the clients return, it lies among the norms
    of the others. Where clients are few, the medians of the latest rounds count as clients of this one.

    Args:
        known: Medians of the rounds before, oldest first; for a run that is resumed.
    """

    def __init__(self, known: Iterable[float] = ()) -> None:
        self._medians = deque(known, maxlen=_ENOUGH - 1)

    def usual(self, norms: Sequence[float]) -> float:
        """The usual norm of a round; infinite if too few are known, or most are zero.

        Args:
            norms: Of all updates of this round, in any order.
        """
        missing = max(0, _ENOUGH - len(norms))
        earlier = list(self._medians)[len(self._medians) - min(missing, len(self._medians)) :]
        together = [*norms, *earlier]
        return (statistics.median_low(together) or math.inf) if len(together) >= _FEWEST else math.inf

    def add(self, norms: Sequence[float]) -> None:
        """Learn the norms of a round, when it is over."""
        if norms:
            self._medians.append(statistics.median_low(norms))

    @property
    def known(self) -> list[float]:
        """What is kept, oldest first."""
        return list(self._medians)
