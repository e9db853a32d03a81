"""How large updates usually are, over the recent rounds."""

import math
import statistics
from collections import deque
from collections.abc import Iterable


class Norms:
    """The norms of recent updates, and the bound that follows for the next.

    The bound is a multiple of their median. Whatever a minority of clients returns, it can't move the median
    by much. The norms of one round count from the next round on, so that what is refused doesn't depend on
    the order of replies, and no reply has to wait for the others. Those of refused updates count as well: if
    training itself takes larger steps from some round on, the median follows.

    Args:
        factor: The bound in units of the median. Honest updates differ by how much and how hard the data is;
            with equal numbers of steps they stay within a factor of three or so.
        fewest: No median before so many norms are known.
        memory: Norms that are kept.
        known: Norms of the rounds before, oldest first; for a run that is resumed.
    """

    def __init__(
        self, *, factor: float = 20.0, fewest: int = 8, memory: int = 64, known: Iterable[float] = ()
    ) -> None:
        self._factor = factor
        self._fewest = fewest
        self._norms = deque(known, maxlen=memory)

    def bound(self, usual: float = math.inf) -> float:
        """Largest norm that an update may have; infinite if most are zero.

        Args:
            usual: What stands for the median while too few norms are known.
        """
        if len(self._norms) >= self._fewest:
            usual = statistics.median(self._norms)
        return self._factor * usual if usual else math.inf

    @property
    def known(self) -> list[float]:
        """The norms that are kept, oldest first."""
        return list(self._norms)

    def add(self, norms: Iterable[float]) -> None:
        """Learn the norms of a round."""
        self._norms.extend(norms)
