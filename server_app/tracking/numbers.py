"""What a line of the journal holds for a tracker: numbers by name."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from fedvsr_core.metrics.names import METRICS
from server_app.records.history import reports
from server_app.records.journal import Line

_UNUSUAL = re.compile(r"[^A-Za-z0-9_./ -]")
_LONGEST = 100
"""Characters of a name that came from a client."""
_OF_ROUND = ("seconds", "aggregation-seconds", "server-memory-mb", "hellinger", "mixing")
_OF_CLIENT = ("loss", "weight", "seconds", "peak-memory-mb")


def numbers_of(line: Line) -> dict[str, float]:
    """The numbers of a line, finite ones alone; empty for a line that isn't of a round.

    Names are paths such as ``score/psnr-y``, ``loss/mean`` and ``weight/north``, of letters that every
    tracker takes.

    Args:
        line: It holds what `server_app.records.lines` asks for.
    """
    if line["phase"] == "train":
        found = _of_training(line)
    elif line["phase"] == "evaluate":
        found = _of_scores(line, "score")
    elif line["phase"] == "evaluate-clients":
        found = _of_scores(line, "clients-score")
    else:
        return {}
    return {tidy(name): value for name, value in found.items() if math.isfinite(value)}


def tidy(name: str) -> str:
    """A name of letters that every tracker takes."""
    return _UNUSUAL.sub("_", name)[:_LONGEST]


def _of_training(line: Line) -> dict[str, float]:
    numbers = {f"round/{key}": float(line[key]) for key in _OF_ROUND if line.get(key) is not None}
    numbers |= {f"round/{key}": float(line[key]) / 1e6 for key in ("bytes-up", "bytes-down") if key in line}
    numbers = {name.replace("bytes", "mb"): value for name, value in numbers.items()}
    numbers |= {"round/clients": len(line["clients"]), "round/left-out": len(line["refused"])}
    parts: dict[str, list[float]] = {}
    for row in line["clients"]:
        for key in _OF_CLIENT:
            if row.get(key) is not None:
                numbers[f"{key}/{row['client']}"] = float(row[key])
    for row in reports(line):
        for name, value in row.get("parts", {}).items():
            parts.setdefault(name, []).append(float(value))
    numbers |= _mean("loss/mean", (row.get("loss") for row in reports(line)))
    for name, values in parts.items():
        numbers |= _mean(f"loss-part/{name}", values)
    return numbers


def _of_scores(line: Line, kind: str) -> dict[str, float]:
    numbers = {f"{kind}/{name}": float(line[name]) for name in METRICS if line.get(name) is not None}
    bicubic: Mapping[str, Any] = line.get("bicubic") or {}
    for name in METRICS:
        if bicubic.get(name) is not None:
            numbers[f"{kind}-of-bicubic/{name}"] = float(bicubic[name])
    clips = line.get("clips")
    for clip, scores in clips.items() if isinstance(clips, Mapping) else ():
        for name in METRICS:
            if scores.get(name) is not None:
                numbers[f"{kind}-{name}/{clip}"] = float(scores[name])
    return numbers


def _mean(name: str, values: Iterable[float | str | None]) -> dict[str, float]:
    known = [float(value) for value in values if value is not None]
    return {name: statistics.fmean(known)} if known else {}
