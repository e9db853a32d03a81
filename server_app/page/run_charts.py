"""The charts of a run: scores, losses, weights and costs over its rounds, from its journal."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedvsr_core.metrics.names import METRICS
from server_app.page.charts import Line as Drawn
from server_app.page.charts import chart, of_many
from server_app.records.history import (
    Evaluation,
    client_series,
    evaluations,
    loss_parts,
    measured,
    trainings,
)
from server_app.records.journal import Line


def score_charts(lines: Sequence[Line], scored: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Scores against rounds, and the gain over bicubic by clip."""
    if not scored:
        return []
    charts, headline = [], scored[-1].headline
    on_clients = evaluations(lines, "evaluate-clients")
    for index, metric in enumerate(measured(scored)):
        about = METRICS[metric]
        mine = _values((each.round, each.mean.get(metric, math.nan)) for each in scored)
        if metric != headline and len(mine) < 3:  # measured at the ends alone: the table has it
            continue
        bicubic = _values((each.round, each.bicubic.get(metric, math.nan)) for each in scored)
        drawn = [Drawn("federated model", mine), Drawn("bicubic", bicubic, reference=True)]
        own = _values((each.round, each.mean.get(metric, math.nan)) for each in on_clients)
        if own:
            drawn.append(Drawn("on the clients' own clips", own, 2))
        charts.append(
            chart(f"score-{index}", f"{about.title}, mean of the held-out clips", drawn, digits=about.digits)
        )
    about = METRICS[headline]
    gains = {
        clip: _values((each.round, each.clip_gain(clip)) for each in scored if clip in each.clips)
        for clip in scored[-1].clips
    }
    gains = {clip: values for clip, values in gains.items() if values}
    if gains:
        unit = f" ({about.unit})" if about.unit else ""
        mean = Drawn("mean of the clips", _values((each.round, each.gain()) for each in scored))
        zero = Drawn("bicubic", {each.round: 0.0 for each in scored}, reference=True)
        lines_ = [mean, zero, *of_many(gains, "clips")]
        charts.insert(1, chart("gain", f"{about.label} above bicubic{unit}", lines_, digits=about.digits))
    return charts


def loss_charts(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The training loss of the clients, and its parts."""
    panels = {"Training loss": client_series(lines, "loss")}
    parts = loss_parts(lines)
    if len(parts) > 1:
        panels |= {f"Part of the loss: {name}": series for name, series in parts.items()}
    finite = {title: _finite(series) for title, series in panels.items()}
    return [
        chart(f"loss-{index}", title, of_many(series, "clients"), digits=5)
        for index, (title, series) in enumerate(finite.items())
        if series
    ]


def weight_charts(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """What each client counted, and how far losses moved that."""
    charts = []
    trained = trainings(lines)
    shares = _finite(client_series(lines, "weight"))
    percent = {name: {at: 100 * value for at, value in values.items()} for name, values in shares.items()}
    if percent:
        equal = {line["round"]: 100 / len(line["clients"]) for line in trained if line["clients"]}
        drawn = [*of_many(percent, "clients", gaps=True), Drawn("equal shares", equal, reference=True)]
        charts.append(chart("weight", "Weight in the average (%)", drawn, digits=2, from_zero=True))
    drawn = [
        Drawn(label, values, index)
        for index, (key, label) in enumerate(
            (("hellinger", "Hellinger distance from equal weights"), ("mixing", "mixing"))
        )
        if (
            values := _values(
                (line["round"], float(line[key])) for line in trained if line.get(key) is not None
            )
        )
    ]
    if drawn:
        charts.append(chart("hellinger", "How far weights go by loss", drawn, digits=4, from_zero=True))
    return charts


def cost_charts(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Seconds, bytes and memory."""
    trained = trainings(lines)
    seconds = {
        "whole round": _values((line["round"], float(line["seconds"])) for line in trained),
        "slowest client": _slowest(trained),
        "aggregation": _of(trained, "aggregation-seconds"),
    }
    memory = {
        "server": _of(trained, "server-memory-mb"),
        "largest client": _values(
            (
                line["round"],
                max(
                    (float(row["peak-memory-mb"]) for row in line["clients"] if "peak-memory-mb" in row),
                    default=math.nan,
                ),
            )
            for line in trained
        ),
    }
    sent = {
        name: {at: value / 1e6 for at, value in _of(trained, key).items()}
        for name, key in (("to the clients", "bytes-down"), ("to the server", "bytes-up"))
    }
    panels = (
        ("seconds", "Seconds of a round", seconds, 1),
        ("bytes", "MB sent in a round", sent, 2),
        ("memory", "Peak memory (MB)", memory, 0),
    )
    return [
        chart(name, title, of_many(there, "kinds"), digits=digits, from_zero=True)
        for name, title, series, digits in panels
        if (there := {label: values for label, values in series.items() if values})
    ]


def _slowest(trained: Sequence[Line]) -> dict[float, float]:
    return _values(
        (
            line["round"],
            max(
                (float(row["seconds"]) for row in line["clients"] if row.get("seconds") is not None),
                default=math.nan,
            ),
        )
        for line in trained
    )


def _of(trained: Sequence[Line], key: str) -> dict[float, float]:
    return _values((line["round"], float(line[key])) for line in trained if line.get(key) is not None)


def _values(pairs: Iterable[tuple[int, float]]) -> dict[float, float]:
    return {at: value for at, value in pairs if math.isfinite(value)}


def _finite(series: Mapping[str, Mapping[int, float]]) -> dict[str, dict[float, float]]:
    kept: dict[str, dict[float, float]] = {
        name: {at: value for at, value in values.items() if math.isfinite(value)}
        for name, values in series.items()
    }
    return {name: values for name, values in kept.items() if values}
