"""What is seen of a round of training while its updates come in."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from server_app.asking import Refusal
from server_app.screening import Screened
from server_app.updates import ReportedUpdate

_log = logging.getLogger(__name__)


class RoundLog:
    """Follows the updates of one round, and notes who is left out.

    Args:
        title: The round in words, for the log.
        of: Updates that are expected.

    Attributes:
        rows: A journal row for each client whose update was let in.
        refused: Who was left out.
    """

    def __init__(self, title: str, *, of: int) -> None:
        self._title = title
        self._of = of
        self.rows: list[dict[str, Any]] = []
        self.refused: list[Refusal] = []

    def updates(self, answers: Iterable[ReportedUpdate | Refusal]) -> Iterator[ReportedUpdate]:
        """Pass on updates as they come."""
        for answer in answers:
            if isinstance(answer, Refusal):
                self.refused.append(answer)
            else:
                self._note(answer)
                yield answer
                del answer

    def screened(self, screened: Screened) -> None:
        """Note what became of the updates in each other's company."""
        left_out = {refusal.client for refusal in screened.refused}
        self.refused += screened.refused
        self.rows = [
            {**row, **screened.facts[row["client"]]} for row in self.rows if row["client"] not in left_out
        ]

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
