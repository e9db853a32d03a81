"""Replies that may not enter the model, each with the reason."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flwr.app import Array, ArrayRecord, Message

from fedvsr_core.aggregation.bounds import LIMIT, within
from fedvsr_core.errors import ShapeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.reports import Report
from fedvsr_core.flower.views import view


@dataclass(frozen=True)
class Refusal:
    """A reply that was left out.

    Attributes:
        client: Name of the client that was asked.
        node: The node that was asked; 0 if the reply answers none of our messages.
        code: The kind of reason.
        reason: One sentence.
    """

    client: str
    node: int
    code: str
    reason: str


class _Refused(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Screening:
    """The gate of one round.

    Args:
        reference: The global model that was sent.
        sent: Node by id of the message sent to it.
        clients: Name of the client of each node.
        max_examples: Most examples that a client may report.
        max_loss: Largest loss that a client may report.

    Attributes:
        refused: What was left out so far.
    """

    def __init__(
        self,
        reference: ArrayRecord,
        *,
        sent: Mapping[str, int],
        clients: Mapping[int, str],
        max_examples: int = 10_000_000,
        max_loss: float = 1e6,
    ) -> None:
        self._expected = {name: (tuple(array.shape), array.dtype) for name, array in reference.items()}
        self._sent = sent
        self._clients = clients
        self._max_examples = max_examples
        self._max_loss = max_loss
        self._heard: set[int] = set()
        self.refused: list[Refusal] = []

    def admit(self, replies: Iterable[Message]) -> Iterator[Message]:
        """Pass on sound replies as they come; note the others."""
        for reply in replies:
            node = self._sent.get(reply.metadata.reply_to_message_id, 0)
            try:
                self._check(reply, node)
            except _Refused as refused:
                self._refuse(node, refused.code, str(refused))
                continue
            yield reply
            del reply

    def close(self) -> None:
        """Note who was asked and has not replied in time."""
        for node in sorted(set(self._sent.values()) - self._heard):
            self._refuse(node, "timeout", "it didn't reply in time")

    def _refuse(self, node: int, code: str, reason: str) -> None:
        self.refused.append(Refusal(self._clients.get(node, f"node {node}"), node, code, reason))

    def _check(self, reply: Message, node: int) -> None:
        if node == 0:
            raise _Refused("unknown", "it answers no message of this round")
        if node in self._heard:
            raise _Refused("duplicate", "its node has already replied in this round")
        self._heard.add(node)
        if reply.has_error():
            raise _Refused("error", f"error {reply.error.code}: {(reply.error.reason or '').strip()[-300:]}")
        self._check_report(reply, node)
        records = reply.content.array_records
        if keys.ARRAYS not in records:
            raise _Refused("names", f"it must carry an ArrayRecord '{keys.ARRAYS}', got {sorted(records)}")
        self._check_arrays(records[keys.ARRAYS])

    def _check_report(self, reply: Message, node: int) -> None:
        try:
            report = Report.unpack(reply.content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _Refused("report", f"its report can't be read: {error!r}"[:300]) from error
        if report.client != self._clients.get(node):
            raise _Refused("identity", f"it says it is '{report.client[:100]}'")
        if not 0 < report.examples <= self._max_examples:
            raise _Refused("examples", f"it reports {report.examples} examples")
        if not 0 < report.loss <= self._max_loss:
            raise _Refused("loss", f"it reports a loss of {report.loss}")
        if not all(math.isfinite(value) for value in (report.seconds, report.peak_memory_mb, *report.parts.values())):
            raise _Refused("report", "it reports numbers that aren't finite")

    def _check_arrays(self, arrays: ArrayRecord) -> None:
        if set(arrays) != set(self._expected):
            raise _Refused("names", f"arrays {sorted(set(arrays) ^ set(self._expected))[:3]} are missing or unknown")
        for name, array in arrays.items():
            self._check_array(name, array)

    def _check_array(self, name: str, array: Array) -> None:
        shape, dtype = self._expected[name]
        try:
            values = view(array)
        except ShapeError as error:
            raise _Refused("dtype", f"'{name}': {error}") from error
        if str(values.dtype) != dtype or array.dtype != dtype:
            raise _Refused("dtype", f"'{name}' must be {dtype}, got {values.dtype}")
        if values.shape != shape or tuple(array.shape) != shape:
            raise _Refused("shape", f"'{name}' must have shape {shape}, got {values.shape}")
        if not within(values):
            raise _Refused("non-finite", f"'{name}' must hold finite values below {LIMIT:.0f}, and doesn't")
