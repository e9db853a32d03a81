"""What clients return: read and judged once, then handed to the strategy."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord

from fedvsr_core.errors import ShapeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.flower.differences import from_difference
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.training_report import LONGEST_S, TrainingReport
from fedvsr_core.flower.views import view
from fedvsr_core.secure.share import bounded_loss
from fedvsr_core.settings import Screening
from server_app.aggregation.bounds import LIMIT, measure
from server_app.aggregation.threads import shared
from server_app.aggregation.values import InMemory, Values
from server_app.asking import Answer, RefusedError

_NUMBERS = {keys.NUM_EXAMPLES, keys.NUM_STEPS, keys.LOSS, keys.SECONDS, keys.PEAK_MEMORY_MB}
_LONGEST_WORD = 200
_MOST_STEPS, _MOST_MB, _MOST_PARTS = 10**9, 1e9, 100
_EPSILONS, _LEAST_DELTA = (1e-9, 1e9), 1e-100
"""Beyond these a promise of privacy means nothing, and what follows from it can't be computed."""
_ZERO = np.zeros((), np.float32)


@dataclass(frozen=True)
class Measured:
    """The arrays of one record, judged.

    Attributes:
        arrays: The floating-point arrays by name, in the order of the form; read-only.
        norm: How far they lie from where it is measured.
        packed: Those that are as they came, as Flower has them.
    """

    arrays: Values
    norm: float
    packed: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one client returned, sound and whole; it keeps the bytes of its arrays, and no message.

    Attributes:
        client: Its name, or the id of its node where it has none.
        node: Its node id.
        model: Its trained arrays, in the model's form; their norm is that of what it learned.
        examples: What it reports to have trained on; NaN if it doesn't say.
        loss: Its mean training loss; NaN if it doesn't say.
        extra: Further arrays in the model's form, by the name of their record.
    """

    client: str
    node: int
    model: Measured
    examples: float
    loss: float
    extra: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def arrays(self) -> Values:
        """The trained arrays."""
        return self.model.arrays

    @property
    def bounded_loss(self) -> float:
        """The loss; beyond 1e-9 and 1e9 it counts as the nearest of these."""
        return bounded_loss(self.loss)

    def record(self) -> ArrayRecord:
        """The trained arrays as Flower's record; without a copy, unless they came as differences."""
        packed = self.model.packed
        return ArrayRecord({name: packed.get(name) or Array(array) for name, array in self.arrays.items()})


@dataclass(frozen=True, kw_only=True)
class ReportedUpdate(Update):
    """An update of one of our clients.

    Attributes:
        report: All that it reports.
        seconds: From asking to the answer.
    """

    report: TrainingReport
    seconds: float


class UpdateReader:
    """Reads the answers of one round, each once.

    Whatever an answer holds, nothing but `RefusedError` is raised, and no memory is taken that its size
    doesn't justify.

    Args:
        sent: The arrays that clients start from.
        limits: What they may report.
        extra: Names of the further records that a reply must carry.
        furthest: The largest norm of an honest update.
        furthest_private: The same where the client says that it has added noise.
        parts: Names of the parts of the loss that a report must hold, or None for any. Flower's own
            strategies end the run if two replies report differently.
        needs_loss: Whether replies without a loss, of sites that insist on privacy, are of no use.
        differences: Whether arrays may come as float16 differences from what was sent.
        lost: Clients whose upload is lost on purpose, to study how a strategy bears it.
    """

    def __init__(
        self,
        sent: NamedArrays,
        *,
        limits: Screening,
        extra: Collection[str] = (),
        furthest: float = math.inf,
        furthest_private: float = math.inf,
        parts: Collection[str] | None = None,
        needs_loss: bool = False,
        differences: bool = False,
        lost: Collection[str] = (),
    ) -> None:
        self._sent, self._limits, self._furthest = sent, limits, (furthest, furthest_private)
        self._names = (keys.ARRAYS, *extra)
        self._parts = None if parts is None else set(parts)
        self._needs_loss, self._differences, self._lost = needs_loss, differences, lost

    def read(self, answer: Answer) -> ReportedUpdate:
        """Read an answer.

        Raises:
            RefusedError: If it may not enter the model: it is ``lost``, or wrong are its report (``report``,
                ``examples``, ``privacy``, ``loss``), its arrays (``names``, ``dtype``, ``shape``,
                ``non-finite``), or how far they go (``norm``).
        """
        if answer.client in self._lost:
            raise RefusedError("lost", "its upload was lost on purpose (cohort.upload_failure)")
        report = self._report(answer)
        records = records_of(answer.content, ArrayRecord)
        if set(records) != set(self._names):
            raise RefusedError(
                "names", f"it must carry the ArrayRecords {some(self._names)}, got {some(records)}"
            )
        measured = {
            name: judge(
                records[name],
                self._sent,
                origin=self._sent if name == keys.ARRAYS else None,
                differences=self._differences and name == keys.ARRAYS,
            )
            for name in self._names
        }
        norm, furthest = measured[keys.ARRAYS].norm, self._furthest[bool(report.epsilon)]
        if norm > furthest:
            raise RefusedError(
                "norm",
                f"its update has the norm {norm:.3g}, and the optimiser can't move it further than"
                f" {furthest:.3g}",
            )
        return ReportedUpdate(
            client=answer.client,
            node=answer.node,
            model=measured.pop(keys.ARRAYS),
            examples=report.examples,
            loss=report.loss,
            extra=measured,
            report=report,
            seconds=answer.seconds,
        )

    def _report(self, answer: Answer) -> TrainingReport:
        try:
            report = TrainingReport.unpack(answer.content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RefusedError("report", f"its report can't be read: {error!r}") from error
        if not 0 < report.examples <= self._limits.max_examples:
            raise RefusedError("examples", f"it reports {report.examples} examples")
        if report.withheld and self._needs_loss:
            raise RefusedError(
                "privacy",
                "its site trains with differential privacy and keeps its loss, by which this strategy weighs;"
                " take strategy=fedavg",
            )
        if not report.withheld:
            self._check_loss(report)
            if report.epsilon:
                raise RefusedError("report", "it says that it trains with privacy, and tells its loss")
        if (report.epsilon, report.delta) != (0, 0) and not (
            _EPSILONS[0] <= report.epsilon <= _EPSILONS[1] and _LEAST_DELTA <= report.delta < 1
        ):
            raise RefusedError(
                "report", f"its privacy makes no sense: epsilon {report.epsilon}, delta {report.delta}"
            )
        numbers = (
            (report.steps - 1, _MOST_STEPS),
            (report.seconds, LONGEST_S),
            (report.peak_memory_mb, _MOST_MB),
        )
        if not all(0 <= value <= most for value, most in numbers) or len(report.parts) > _MOST_PARTS:
            raise RefusedError("report", "its steps, seconds, memory or parts of the loss make no sense")
        if max(map(len, (report.device, report.code, report.batches))) > _LONGEST_WORD:
            raise RefusedError("report", f"it has words of more than {_LONGEST_WORD} letters")
        metrics = records_of(answer.content, MetricRecord)
        told = {keys.LOSS_PART_PREFIX + name for name in report.parts} | _NUMBERS
        extra = set(metrics[keys.METRICS]) - told
        if set(metrics) != {keys.METRICS} or extra:
            raise RefusedError("report", f"it reports more than was asked: {some(extra or set(metrics))}")
        if self._parts is not None and set(report.parts) != self._parts:
            raise RefusedError(
                "report", f"the loss has the parts {sorted(self._parts)}, it reports {some(report.parts)}"
            )
        return report

    def _check_loss(self, report: TrainingReport) -> None:
        if not 0 < report.loss <= self._limits.max_loss:
            raise RefusedError("loss", f"it reports a loss of {report.loss}")
        if not all(map(math.isfinite, report.parts.values())):
            raise RefusedError("loss", f"it reports parts of the loss that aren't finite: {report.parts}")


def judge(
    record: ArrayRecord, form: NamedArrays, *, origin: NamedArrays | None = None, differences: bool = False
) -> Measured:
    """See whether arrays are in the model's form and hold what a network can, in one pass over them.

    Args:
        record: As it came.
        form: Arrays of the names, shapes and dtypes that it must have; floating point.
        origin: Where the norm is measured from; None for zero, as of what is a change itself.
        differences: Whether arrays may come as float16 differences from ``form``.

    Raises:
        RefusedError: If not; the code is ``names``, ``dtype``, ``shape`` or ``non-finite``.
    """
    if wrong := set(record) ^ set(form):
        raise RefusedError("names", f"its arrays must be the model's, but {some(wrong)} differ")
    arrays: NamedArrays = {}
    packed: dict[str, Array] = {}
    for name, like in form.items():
        came = _view(name, record[name])
        arrays[name] = from_difference(came, like) if differences else came
        if arrays[name].dtype != like.dtype:
            raise RefusedError("dtype", f"'{name}' must be {like.dtype}, got {arrays[name].dtype}")
        if arrays[name].shape != like.shape:
            raise RefusedError("shape", f"'{name}' must have shape {like.shape}, got {arrays[name].shape}")
        if arrays[name] is came:
            packed[name] = record[name]

    def measure_some(names: Iterator[str]) -> list[tuple[str, float, float]]:
        return [(name, *measure(arrays[name], _ZERO if origin is None else origin[name])) for name in names]

    measured = [each for some_measured in shared(measure_some, arrays) for each in some_measured]
    magnitudes = {name: magnitude for name, magnitude, _ in measured}
    if bad := [name for name in form if not magnitudes[name] < LIMIT]:
        raise RefusedError("non-finite", f"'{bad[0]}' must hold finite values below {LIMIT:.0f}, and doesn't")
    norm = math.sqrt(math.fsum(square for *_, square in measured))
    return Measured(InMemory(arrays), norm, packed)


def floating(record: ArrayRecord) -> NamedArrays:
    """The floating-point arrays of a record that is one's own, in place."""
    return {name: view(array) for name, array in record.items() if array.dtype.startswith("float")}


def _view(name: str, array: Array) -> np.ndarray:
    """The array, if what it says of itself is true."""
    try:
        values = view(array)
    except ShapeError as error:
        raise RefusedError("dtype", f"'{name}': {error}") from error
    if array.dtype != str(values.dtype):
        raise RefusedError("dtype", f"'{name}' must be {array.dtype} as it says, got {values.dtype}")
    if tuple(array.shape) != values.shape:
        raise RefusedError("shape", f"'{name}' must have shape {array.shape} as it says, got {values.shape}")
    return values


def some(names: Collection[str]) -> str:
    """The first of some names, for a sentence."""
    return ", ".join(repr(name[:50]) for name in sorted(names)[:3]) or "none"
