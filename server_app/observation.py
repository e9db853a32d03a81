"""What is seen of a round while its replies come in."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flwr.app import ArrayRecord, Message
from flwr.common.constant import ErrorCode

from fedvsr_core import devices
from fedvsr_core.errors import FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import size_bytes
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.training_report import TrainingReport

_log = logging.getLogger(__name__)

_DEAD_WORKER = ("ActorDiedError", "ActorUnavailableError", "OutOfMemoryError", "The actor is dead")


class Observation:
    """Follows the replies of one round without holding on to them.

    Args:
        title: The round in words, for the log.
        of: Replies that are expected.

    Attributes:
        clients: A journal row for each client whose reply was let in, in the order of arrival.
    """

    def __init__(self, title: str, *, of: int) -> None:
        self._title = title
        self._of = of
        self._bytes_up = 0
        self._began = time.monotonic()
        self._arrived_s = 0.0
        self._dead: str | None = None
        self.clients: list[dict[str, Any]] = []

    def arriving(self, replies: Iterable[Message]) -> Iterator[Message]:
        """Pass on replies as they come, sound or not."""
        for reply in replies:
            self._arrived_s = time.monotonic() - self._began
            if reply.has_error():
                # A client's own exception has another code, whatever it says.
                raised = reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
                if not raised and any(sign in (reply.error.reason or "") for sign in _DEAD_WORKER):
                    self._dead = reply.error.reason
            else:
                arrays = records_of(reply.content, ArrayRecord)
                self._bytes_up += sum(map(size_bytes, arrays.values()))
                del arrays
            yield reply
            del reply

    def admitted(self, replies: Iterable[Message]) -> Iterator[Message]:
        """Pass on replies that were let in, and note what they report."""
        for reply in replies:
            report = TrainingReport.unpack(reply.content)
            self.clients.append(
                {
                    "client": report.client,
                    "node": str(reply.metadata.src_node_id),
                    "loss": report.loss,
                    "parts": report.parts,
                    "examples": report.examples,
                    "steps": report.steps,
                    "seconds": report.seconds,
                    "reply-seconds": self._arrived_s,
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
                len(self.clients),
                self._of,
            )
            yield reply
            del reply

    def stop_if_a_worker_died(self) -> None:
        """End the run if the simulation engine lost a worker process.

        The engine hands a dead worker out again and again, so that every later round would lose the same
        share of its clients without a word.

        Raises:
            FederationError: If a reply of this round told of a dead worker.
        """
        if self._dead is not None:
            raise FederationError(
                f"{self._title}: a worker process of the simulation engine died, most likely of too little"
                f" memory ({self._dead.strip().splitlines()[0][:200]}); give each client more room or run"
                " fewer at once (--federation-config 'client-resources-num-cpus=...'), then resume this run"
            )

    def line(self, diagnostics: Mapping[str, Any]) -> dict[str, Any]:
        """This part of the journal's line.

        Args:
            diagnostics: What the strategy says of the round; ``weights`` by node go to the clients' rows.
        """
        weights = diagnostics.get("weights", {})
        rows = [{**row, "weight": weights.get(int(row["node"]))} for row in self.clients]
        return {
            "bytes-up": self._bytes_up,
            "server-memory-mb": devices.peak_memory_mb(devices.choose("cpu")),
            "clients": sorted(rows, key=lambda row: str(row[keys.CLIENT])),
            **{name: value for name, value in diagnostics.items() if name != "weights"},
        }


class Waiting:
    """Passes replies on, and knows how long whoever takes them has waited for them.

    Args:
        replies: As they arrive.

    Attributes:
        seconds: Time until each reply was there, screening included; not the time in which it was used.
    """

    def __init__(self, replies: Iterable[Message]) -> None:
        self._replies = iter(replies)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        began = time.monotonic()
        try:
            return next(self._replies)
        finally:
            self.seconds += time.monotonic() - began
