"""Which round's model is the best one, and when a run has stopped to get better."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.settings import Settings
from server_app.records.history import evaluations
from server_app.records.journal import Line

ON_CLIENTS: dict[str, Callable[[Sequence[float]], float]] = {
    "clients-mean": statistics.fmean,
    "clients-worst": min,
}
"""From the merits of the clients on their own held-out clips to that of the model."""


def check_selection(settings: Settings, protocol: Protocol) -> None:
    """See that what selects the best model is measured.

    Raises:
        ConfigurationError: If it isn't.
    """
    by, every = settings.evaluation.select, settings.evaluation.clients
    known = (*protocol.metrics, *ON_CLIENTS)
    if by is not None and by not in known:
        raise ConfigurationError(
            f"evaluation.select must be a metric of the protocol or of evaluation.metrics, or one of"
            f" {', '.join(ON_CLIENTS)}, got '{by}'{nearest(by, known)}"
        )
    if by in ON_CLIENTS and every is None:
        raise ConfigurationError(
            f"evaluation.select={by} needs the clients' scores; give evaluation.clients=1, or another number"
        )


def merit(
    by: str | None, headline: str, scores: Mapping[str, Any] | None, on_clients: Line | None
) -> float | None:
    """How good a round's model is, higher is better; None if what selects wasn't measured after it.

    Args:
        by: ``evaluation.select``.
        headline: The protocol's first metric.
        scores: On the server's held-out clips, or None.
        on_clients: The line of the clients' own scores, or None.
    """
    if by is not None and by in ON_CLIENTS:
        rows = on_clients["clients"] if on_clients else []
        merits = [_merit(headline, row[headline]) for row in rows if row.get(headline) is not None]
        merits = [each for each in merits if math.isfinite(each)]
        return ON_CLIENTS[by](merits) if merits else None
    metric = by or headline
    return None if scores is None or metric not in scores else _merit(metric, scores[metric])


def scorings_without_gain(lines: Sequence[Line]) -> int:
    """How many scorings have come since the best one, by the headline against bicubic's."""
    merits = [each.merit for each in evaluations(lines)]
    best = max((each for each in merits if not math.isnan(each)), default=None)
    return 0 if best is None else len(merits) - 1 - merits.index(best)


def _merit(metric: str, score: float | str) -> float:
    return -float(score) if METRICS[metric].best == "low" else float(score)
