"""How long a round waits for its replies, from the size of its messages and the replies so far."""

from collections.abc import Iterable

from fedvsr_core.settings import Settings
from server_app.records.journal import Line

FIRST_S = 3600.0
"""For the work of a client before any reply is known."""
FIRST_STEP_S = 60.0
"""The same for each step of training, if that is longer."""
LEAST_S = 120.0
"""For the work in later rounds; a busy machine may take so long to start a process."""


class Deadline:
    """The time-out of the rounds of one run.

    ``cohort.timeout_s``, or if that is null: ``2 * 8 * bytes / link`` for the message and as much back over
    the slowest link to be expected (``cohort.link_mbit``), and for the work ``cohort.deadline_factor`` times
    the longest that any sound reply has taken so far. Before there was one, that is `FIRST_S`, or
    `FIRST_STEP_S` for each step. A dead site isn't waited for so long: Flower sees it in a minute. This is
    for what hangs.

    Args:
        settings: The run's configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.cohort
        self._first_s = max(FIRST_S, FIRST_STEP_S * settings.training.steps)
        self._longest_s = 0.0

    def limit_s(self, size_bytes: int) -> float:
        """Seconds to wait for the replies to messages of a size."""
        if self._settings.timeout_s is not None:
            return self._settings.timeout_s
        if not self._longest_s:
            return self._link_s(size_bytes) + self._first_s
        return self._link_s(size_bytes) + max(LEAST_S, self._settings.deadline_factor * self._longest_s)

    def brief_s(self, size_bytes: int) -> float:
        """The same for replies that take no work."""
        if self._settings.timeout_s is not None:
            return self._settings.timeout_s
        return self._link_s(size_bytes) + LEAST_S

    def _link_s(self, size_bytes: int) -> float:
        return 2 * 8 * size_bytes / (1e6 * self._settings.link_mbit)

    def learn(self, rows: Iterable[Line]) -> None:
        """Take note of how long sound replies took, from clients' rows of the journal; old ones lack it."""
        replied = [float(row["reply-seconds"]) for row in rows if "reply-seconds" in row]
        self._longest_s = max([self._longest_s, *replied])
