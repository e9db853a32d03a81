"""Scoring the global model on the clients' own held-out clips."""

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import size_bytes
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.declines import why_declined
from fedvsr_core.flower.evaluation_report import WHOSE, EvaluationReport
from fedvsr_core.metrics.average import plain, summed
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol
from server_app.cohort import Member
from server_app.deadline import Deadline
from server_app.exchange import Exchange, last_line
from server_app.records.markdown import signed
from server_app.screening import Refusal

_log = logging.getLogger(__name__)

_LARGEST = 1e6
"""Beyond this no metric goes; a mean that does is not believed."""


def evaluate_on_clients(
    grid: Grid,
    members: Iterable[Member],
    *,
    title: str,
    arrays: ArrayRecord,
    config: ConfigRecord,
    protocol: Protocol,
    patience: Deadline,
) -> dict[str, Any]:
    """Have every client score the model, and add up their sums.

    The mean is over the clips of all clients, as if they lay in one place: each clip counts the same,
    whoever has it (each frame, if the protocol averages over frames). Clients without held-out clips are
    asked, and don't count. A reply that can't be used is left out and named.

    Args:
        grid: The federation.
        members: Whom to ask.
        title: The round in words, for the log.
        arrays: The model.
        config: The clients' settings.
        protocol: How they score.
        patience: How long to wait for them; learns from their replies.

    Returns:
        A line of the journal, but for ``phase`` and ``round``.
    """
    began = time.monotonic()
    asked = {member.node: member.client for member in members}
    messages = (
        Message(
            RecordDict({keys.ARRAYS: arrays, keys.CONFIG: config}),
            dst_node_id=node,
            message_type=MessageType.EVALUATE,
        )
        for node in sorted(asked)
    )
    timeout_s = patience.limit_s(size_bytes(arrays))
    exchange = Exchange(grid, messages, timeout_s)
    refused = [
        Refusal(asked[node], node, "unsent", "Flower didn't take its message") for node in exchange.unsent
    ]
    reports: dict[int, EvaluationReport] = {}
    replied_s: dict[str, float] = {}
    waiting = dict(exchange.sent)
    for reply in exchange.replies(timeout_s):
        node = waiting.pop(reply.metadata.reply_to_message_id, 0)
        if node not in asked:
            continue
        try:
            reports[node] = _read(reply, asked[node], protocol)
            replied_s[asked[node]] = time.monotonic() - began
        except _DeclinedError as declined:
            refused.append(Refusal(asked[node], node, "declined", str(declined)))
        except (KeyError, TypeError, ValueError) as error:
            refused.append(Refusal(asked[node], node, "report", str(error)[:300]))
    refused += [Refusal(asked[node], node, "timeout", "it didn't reply in time") for node in waiting.values()]
    for one in refused:
        _log.warning("%s: the scores of %s are left out (%s): %s", title, one.client, one.code, one.reason)
    ordered = [reports[node] for node in sorted(reports, key=lambda node: asked[node])]
    rows = [_row(report, replied_s[report.client]) for report in ordered if report.clips]
    patience.learn(rows)
    line = {
        "seconds": time.monotonic() - began,
        "bytes-down": size_bytes(arrays) * len(exchange.sent),
        "protocol": protocol.facts(),
        **_means(ordered, "model", protocol.reported),
        "bicubic": _means(ordered, "bicubic", protocol.reported),
        "clips": sum(report.clips for report in ordered),
        "clients": rows,
        "refused": [asdict(one) | {"node": str(one.node)} for one in refused],
    }
    _tell(title, line, protocol)
    return line


class _DeclinedError(Exception):
    pass


def _read(reply: Message, client: str, protocol: Protocol) -> EvaluationReport:
    if reply.has_error():
        raise ValueError(f"error {reply.error.code}: {last_line(reply.error.reason)}")
    if why := why_declined(reply.content):
        raise _DeclinedError(why)
    report = EvaluationReport.unpack(reply.content, protocol.reported)
    if report.client != client:
        raise ValueError(f"it says that it is {report.client!r:.100}")
    if report.code != code_digest():
        raise ValueError(f"it runs other code (digest {report.code:.20}) than the server ({code_digest()})")
    scored = report.clips if protocol.averaging == "clips" else report.frames
    for whose, sums in report.sums.items():
        for metric, mean in sums.items():
            if mean.count + mean.left_out > scored:
                raise ValueError(
                    f"its {metric} of {whose} counts more {protocol.averaging} than its {scored}"
                )
            if mean.count and abs(mean.value) > _LARGEST:
                raise ValueError(f"its {metric} of {whose} is {mean.value:.3g}")
    return report


def _means(reports: Sequence[EvaluationReport], whose: str, metrics: Sequence[str]) -> dict[str, Any]:
    having = [report for report in reports if report.clips]
    return plain({metric: summed(report.sums[whose][metric] for report in having) for metric in metrics})


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
