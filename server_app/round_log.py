"""What is seen of a round of training while its updates come in."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from server_app.asking import Refusal
from server_app.updates import ReportedUpdate

_log = logging.getLogger(__name__)


class RoundLog:
    """Follows the updates of one round, without holding on to them, and notes who is left out.

    Args:
        title: The round in words, for the log.
        of: Updates that are expected.

    Attributes:
        rows: A journal row for each client whose update was let in, in the order of arrival.
        refused: Who was left out.
        waited_s: Time until each update was there, reading included; not the time in which it was used.
    """

    def __init__(self, title: str, *, of: int) -> None:
        self._title = title
        self._of = of
        self.rows: list[dict[str, Any]] = []
        self.refused: list[Refusal] = []
        self.waited_s = 0.0

    def updates(self, answers: Iterable[ReportedUpdate | Refusal]) -> Iterator[ReportedUpdate]:
        """Pass on updates as they come."""
        waiting = time.monotonic()
        for answer in answers:
            if isinstance(answer, Refusal):
                self.refused.append(answer)
                continue
            self._note(answer)
            self.waited_s += time.monotonic() - waiting
            yield answer
            del answer
            waiting = time.monotonic()
        self.waited_s += time.monotonic() - waiting

    def weighted_rows(self, weights: Mapping[str, float]) -> list[dict[str, Any]]:
        """The rows by name, with what each client's update counted.

        Args:
            weights: By client; a client that isn't here has none.
        """
        rows = [{**row, "weight": weights.get(row["client"])} for row in self.rows]
        return sorted(rows, key=lambda row: str(row["client"]))

    def _note(self, update: ReportedUpdate) -> None:
        report = update.report
        self.rows.append(
            {
                "client": report.client,
                "node": str(update.node),
                "loss": report.loss,
                "parts": report.parts,
                "examples": report.examples,
                "steps": report.steps,
                "seconds": report.seconds,
                "reply-seconds": update.seconds,
                "peak-memory-mb": report.peak_memory_mb,
                "device": report.device,
                "batches": report.batches,
                **({"epsilon": report.epsilon, "delta": report.delta} if report.epsilon else {}),
            }
        )
        _log.info(
            "%s: %s trained %d steps in %.0f s, %s (%d of %d)",
            self._title,
            report.client,
            report.steps,
            report.seconds,
            "loss kept for privacy" if report.withheld else f"loss {report.loss:.5f}",
            len(self.rows),
            self._of,
        )
