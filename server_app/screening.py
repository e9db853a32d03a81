"""Replies that may not enter the model, each with the reason."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord

from fedvsr_core.errors import ShapeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.declines import why_declined
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.flower.views import view
from server_app.aggregation.bounds import LIMIT, largest
from server_app.exchange import last_line
from server_app.norms import Norms

_NUMBERS = {keys.NUM_EXAMPLES, keys.NUM_STEPS, keys.LOSS, keys.SECONDS, keys.PEAK_MEMORY_MB}
_LONGEST_WORD = 200
_LONGEST_REASON = 300
_LONGEST_DIGEST = 40
_EPSILONS, _LEAST_DELTA = (1e-9, 1e9), 1e-100
"""Beyond these a promise of privacy means nothing, and what follows from it can't be computed."""
_CHUNK = 1 << 16  # elements


@dataclass(frozen=True)
class Refusal:
    """A reply that was left out, or is missing.

    Attributes:
        client: Name of the client that was asked.
        node: The node that was asked; 0 where the reply answers nothing that we asked.
        code: The kind of reason: ``unknown``, ``duplicate``, ``error``, ``declined``, ``report``,
            ``identity``, ``code``, ``examples``, ``privacy``, ``loss``, ``lost``, ``names``, ``dtype``,
            ``shape``, ``non-finite``, ``norm``, ``timeout`` or ``unsent``.
        reason: One sentence.
    """

    client: str
    node: int
    code: str
    reason: str


class Screening:
    """The gate of one round: sound replies pass, one at a time, the others are noted.

    Whatever a reply holds, nothing is raised, and no memory is taken that its size doesn't justify.

    Args:
        reference: The global model that was sent.
        sent: Node by the id of the message that went to it.
        clients: Name of the client of each node.
        parts: Names of the parts of the loss that a report must hold, or None for any. Flower's own
            strategies end the run if two replies report differently.
        max_examples: Most examples that a client may report.
        max_loss: Largest loss that a client may report.
        beside: What the norms of further ArrayRecords are judged by, by name; a reply must carry them all,
            each in the form of the model.
        weighs_by_loss: Whether replies without a loss, of sites that insist on privacy, are of no use.
        lost: Nodes whose upload is lost on purpose, to study how a strategy bears it.
        code: Digest of the code that a client must run, or None for any.
        norms: What the norm of an update is judged by. This and those of ``beside`` learn the norms of this
            round when it closes; while they know too few, the norm of the model stands for the usual one.

    Attributes:
        refused: Whom was left out so far, and why.
        norms: Norm of the update, ``returned - reference``, by node; of all replies that are sound otherwise.
    """

    def __init__(
        self,
        reference: ArrayRecord,
        *,
        sent: Mapping[str, int],
        clients: Mapping[int, str],
        parts: Collection[str] | None = None,
        max_examples: int = 10_000_000,
        max_loss: float = 1e6,
        beside: Mapping[str, Norms] | None = None,
        weighs_by_loss: bool = False,
        lost: Collection[int] = (),
        code: str | None = None,
        norms: Norms | None = None,
    ) -> None:
        self._reference = {name: view(array) for name, array in reference.items()}
        self._size = math.sqrt(
            math.fsum(
                float(np.square(array, dtype=np.float64).sum())
                for array in self._reference.values()
                if array.dtype.kind == "f"
            )
        )
        self._sent = sent
        self._clients = clients
        self._parts = None if parts is None else set(parts)
        self._max_examples = max_examples
        self._max_loss = max_loss
        self._weighs_by_loss = weighs_by_loss
        self._lost = set(lost)
        self._code = code
        self._histories = {keys.ARRAYS: norms or Norms(), **(beside or {})}
        self._replied: set[int] = set()
        self.refused: list[Refusal] = []
        self._norms: dict[str, dict[int, float]] = {name: {} for name in self._histories}
        self.norms = self._norms[keys.ARRAYS]

    def admit(self, replies: Iterable[Message]) -> Iterator[Message]:
        """Pass on sound replies as they come."""
        for reply in replies:
            node = self._sent.get(reply.metadata.reply_to_message_id, 0)
            try:
                self._check(reply, node)
            except _RefusedError as refused:
                self._note(node, refused.code, str(refused))
            else:
                yield reply
            del reply  # the next one may be as large

    def close(self) -> None:
        """Note who was asked and hasn't replied, and let the histories know the norms of this round."""
        for node in sorted(set(self._sent.values()) - self._replied):
            self._note(node, "timeout", "it didn't reply in time")
        for name, norms in self._norms.items():
            self._histories[name].add(norms[node] for node in sorted(norms, key=self._clients.__getitem__))

    def _note(self, node: int, code: str, reason: str) -> None:
        client = self._clients.get(node, "unknown")
        self.refused.append(Refusal(client, node, code, reason[:_LONGEST_REASON]))

    def _check(self, reply: Message, node: int) -> None:
        if node not in self._clients:
            raise _RefusedError("unknown", f"node {reply.metadata.src_node_id} answers nothing that we asked")
        if node in self._replied:
            raise _RefusedError("duplicate", "its node has already replied in this round")
        self._replied.add(node)
        if node in self._lost:
            raise _RefusedError("lost", "its upload was lost on purpose (cohort.upload_failure)")
        if reply.has_error():
            raise _RefusedError("error", f"error {reply.error.code}: {last_line(reply.error.reason)}")
        if not reply.has_content():
            raise _RefusedError("error", "it has no content")
        if why := why_declined(reply.content):
            raise _RefusedError("declined", why)
        self._check_report(reply, self._clients[node])
        records = records_of(reply.content, ArrayRecord)
        if set(records) != (expected := self._histories.keys()):
            raise _RefusedError(
                "names", f"it must carry the ArrayRecords {_some(expected)}, got {_some(records)}"
            )
        found = {name: self._check_arrays(records[name], change=name != keys.ARRAYS) for name in expected}
        for name, norm in found.items():
            self._norms[name][node] = norm
        for name, norm in found.items():
            if norm > (bound := self._histories[name].bound(self._size)):
                what = "update" if name == keys.ARRAYS else f"'{name[:50]}'"
                raise _RefusedError("norm", f"its {what} has the norm {norm:.3g}, the bound is {bound:.3g}")

    def _check_report(self, reply: Message, client: str) -> None:
        try:
            report = TrainingReport.unpack(reply.content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _RefusedError("report", f"its report can't be read: {error!r}") from error
        if report.client != client:
            raise _RefusedError("identity", f"it says that it is {report.client!r}")
        if self._code is not None and report.code != self._code:
            raise _RefusedError(
                "code",
                f"it runs other code (digest {report.code[:_LONGEST_DIGEST]}) than the server ({self._code});"
                " restart its SuperNode from the server's version",
            )
        if not 0 < report.examples <= self._max_examples:
            raise _RefusedError("examples", f"it reports {report.examples} examples")
        if report.withheld and self._weighs_by_loss:
            raise _RefusedError(
                "privacy",
                "its site trains with differential privacy and keeps its loss, by which this strategy weighs;"
                " take strategy=fedavg",
            )
        if not report.withheld:
            self._check_loss(report)
        if (report.epsilon, report.delta) != (0, 0) and not (
            _EPSILONS[0] <= report.epsilon <= _EPSILONS[1] and _LEAST_DELTA <= report.delta < 1
        ):
            raise _RefusedError(
                "report", f"its privacy makes no sense: epsilon {report.epsilon}, delta {report.delta}"
            )
        if report.steps < 1 or not all(
            0 <= value < math.inf for value in (report.seconds, report.peak_memory_mb)
        ):
            raise _RefusedError("report", "its steps, seconds or memory make no sense")
        if max(map(len, (report.device, report.code, report.batches))) > _LONGEST_WORD:
            raise _RefusedError("report", f"it has words of more than {_LONGEST_WORD} letters")
        metrics = records_of(reply.content, MetricRecord)
        extra = (
            set(metrics[keys.METRICS]) - _NUMBERS - {keys.LOSS_PART_PREFIX + name for name in report.parts}
        )
        if set(metrics) != {keys.METRICS} or extra:
            raise _RefusedError("report", f"it reports more than was asked: {_some(extra or set(metrics))}")
        if self._parts is not None and set(report.parts) != self._parts:
            raise _RefusedError(
                "report", f"the loss has the parts {sorted(self._parts)}, it reports {_some(report.parts)}"
            )

    def _check_loss(self, report: TrainingReport) -> None:
        if not 0 < report.loss <= self._max_loss:
            raise _RefusedError("loss", f"it reports a loss of {report.loss}")
        if not all(map(math.isfinite, report.parts.values())):
            raise _RefusedError("loss", f"it reports parts of the loss that aren't finite: {report.parts}")

    def _check_arrays(self, arrays: ArrayRecord, *, change: bool) -> float:
        """The norm of the update: of the arrays themselves if they are a change, else of how they differ."""
        if wrong := set(arrays) ^ set(self._reference):
            raise _RefusedError("names", f"its arrays must be the model's, but {_some(wrong)} differ")
        return math.sqrt(
            math.fsum(self._check_array(name, array, change=change) for name, array in arrays.items())
        )

    def _check_array(self, name: str, array: Array, *, change: bool) -> float:
        """The squared norm of its update."""
        reference = self._reference[name]
        try:
            values = view(array)
        except ShapeError as error:
            raise _RefusedError("dtype", f"'{name}': {error}") from error
        if values.dtype != reference.dtype or array.dtype != str(reference.dtype):
            raise _RefusedError(
                "dtype", f"'{name}' must be {reference.dtype}, got {array.dtype}, {values.dtype}"
            )
        if values.shape != reference.shape or tuple(array.shape) != reference.shape:
            raise _RefusedError(
                "shape", f"'{name}' must have shape {reference.shape}, got {array.shape}, {values.shape}"
            )
        if values.dtype.kind != "f":
            return 0.0
        if not largest(values) < LIMIT:
            raise _RefusedError(
                "non-finite", f"'{name}' must hold finite values below {LIMIT:.0f}, and doesn't"
            )
        return _squared_distance(values, np.zeros((), reference.dtype) if change else reference)


class _RefusedError(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _squared_distance(values: np.ndarray, reference: np.ndarray) -> float:
    values, reference = values.reshape(-1), np.broadcast_to(reference, values.shape).reshape(-1)
    total = 0.0
    for start in range(0, values.size, _CHUNK):
        difference = np.subtract(
            values[start : start + _CHUNK], reference[start : start + _CHUNK], dtype=np.float32
        )
        total += float(np.dot(difference, difference))
    return total


def _some(names: Collection[str]) -> str:
    return ", ".join(repr(name[:50]) for name in sorted(names)[:3]) or "none"
