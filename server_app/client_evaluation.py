"""Scoring the global model on the clients' own held-out clips."""

import logging
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from flwr.app import MessageType, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.flower.evaluation_report import WHOSE, EvaluationReport
from fedvsr_core.metrics.average import Mean, plain, summed
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol
from server_app.asking import Answer, Asking, Refusal, RefusedError, log_all, message_bytes
from server_app.deadline import Deadline
from server_app.records.markdown import signed

_log = logging.getLogger(__name__)

_ROUNDING = 1e-6
_MOST_SHARE = 3
"""A client's clips (or frames) count for at most so many times the median client's."""


def evaluate_on_clients(
    grid: Grid,
    contents: Mapping[int, RecordDict],
    *,
    clients: Mapping[int, str],
    title: str,
    protocol: Protocol,
    deadline: Deadline,
) -> dict[str, Any]:
    """Have every client score the model, and add up their sums.

    The mean is over the clips of all clients, as if they lay in one place: each clip counts the same,
    whoever has it (each frame, if the protocol averages over frames), up to `_MOST_SHARE` times as many as
    the median client has: what a client says of its number doesn't decide alone. Clients without held-out
    clips are asked, and don't count. An answer that can't be used is left out and named.

    Args:
        grid: The federation.
        contents: What each node is sent, with the model.
        clients: Name of the client of each node.
        title: The round in words, for the log.
        protocol: How they score.
        deadline: How long to wait for them; learns from their replies.

    Returns:
        A line of the journal, but for ``phase`` and ``round``.
    """
    began = time.monotonic()
    largest = max(map(message_bytes, contents.values()), default=0)
    timeout_s = deadline.limit_s(largest)
    asking = Asking(
        grid,
        contents,
        MessageType.EVALUATE,
        read=partial(_read, protocol=protocol),
        clients=clients,
        lifetime_s=timeout_s,
    )
    reports: list[tuple[EvaluationReport, float]] = []
    refused: list[Refusal] = []
    for answer in asking.answers(timeout_s):
        if isinstance(answer, Refusal):
            refused.append(answer)
        else:
            reports.append(answer)
    refused += asking.missing()
    log_all(refused, f"{title}: scores")
    reports.sort(key=lambda answered: answered[0].client)
    having = [report for report, _ in reports if report.clips]
    rows = [_row(report, seconds) for report, seconds in reports if report.clips]
    most = _MOST_SHARE * statistics.median_low(map(_size(protocol), having)) if having else 0
    shares = [min(1.0, most / _size(protocol)(report)) for report in having]
    for row, share in zip(rows, shares, strict=True):
        row |= {"share": share} if share < 1 else {}
    deadline.learn(rows)
    line = {
        "seconds": time.monotonic() - began,
        "bytes-down": asking.bytes_down,
        "protocol": protocol.facts(),
        **_means(having, shares, "model", protocol.reported),
        "bicubic": _means(having, shares, "bicubic", protocol.reported),
        "clips": sum(math.ceil(report.clips * share) for report, share in zip(having, shares, strict=True)),
        "clients": rows,
        "refused": [refusal.row() for refusal in refused],
    }
    _tell(title, line, protocol)
    return line


def _read(answer: Answer, *, protocol: Protocol) -> tuple[EvaluationReport, float]:
    try:
        report = EvaluationReport.unpack(answer.content, protocol.reported)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RefusedError("report", f"its report can't be read: {error}") from error
    scored = _size(protocol)(report)
    for whose, sums in report.sums.items():
        for metric, mean in sums.items():
            if mean.count + mean.left_out > scored:
                raise RefusedError(
                    "report", f"its {metric} of {whose} counts more {protocol.averaging} than its {scored}"
                )
            low, high = METRICS[metric].range
            if mean.count and not low - _ROUNDING <= mean.value <= high + _ROUNDING:
                raise RefusedError(
                    "report",
                    f"its {metric} of {whose} is {mean.value:.3g}, and must be from {low:g} to {high:g}",
                )
    return report, answer.seconds


def _size(protocol: Protocol) -> Callable[[EvaluationReport], int]:
    """What a client counts by."""
    return attrgetter("clips" if protocol.averaging == "clips" else "frames")


def _means(
    reports: Sequence[EvaluationReport], shares: Sequence[float], whose: str, metrics: Sequence[str]
) -> dict[str, Any]:
    means = {
        metric: summed(
            _part(report.sums[whose][metric], share) for report, share in zip(reports, shares, strict=True)
        )
        for metric in metrics
    }
    return plain(means)


def _part(mean: Mean, share: float) -> Mean:
    """The same mean, of fewer values."""
    if share == 1:
        return mean
    count = math.ceil(mean.count * share)
    total = mean.value * count if count else 0.0
    return Mean(total, count, math.ceil(mean.left_out * share), math.ceil(mean.infinite * share))


def _row(report: EvaluationReport, replied_s: float) -> dict[str, Any]:
    means = {metric: mean.value for metric, mean in report.sums[WHOSE[0]].items()}
    return {
        "client": report.client,
        "clips": report.clips,
        "frames": report.frames,
        "seconds": report.seconds,
        "reply-seconds": replied_s,
        **means,
    }


def _tell(title: str, line: Mapping[str, Any], protocol: Protocol) -> None:
    about, score = METRICS[protocol.headline], line[protocol.headline]
    if math.isnan(score):
        _log.warning("%s: no client has scored the model on held-out clips of its own", title)
        return
    _log.info(
        "%s: clients' own %d clips: %s %s, %s against bicubic (%.1f s)",
        title,
        line["clips"],
        about.label,
        about.value(score),
        signed(score - line["bicubic"][protocol.headline]),
        line["seconds"],
    )
