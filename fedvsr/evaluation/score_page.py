"""Scores of videos as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol
from server_app.records.markdown import number, signed, table

BICUBIC = "bicubic"


def score_page(scored: Mapping[str, Any], others: Mapping[str, Any] | None = None) -> str:
    """Write up scores.

    Args:
        scored: The scores, as `fedvsr.evaluation.score_files.Scored.as_json` gives them.
        others: Others of the same protocol, to be shown with them.

    Returns:
        Markdown.
    """
    protocol = Protocol(**scored["protocol"])
    metrics = protocol.reported
    ways = dict(scored["scores"])
    if others:
        ways |= {f"{way} (beside)": scores for way, scores in others["scores"].items() if way != BICUBIC}
    clips = list(next(iter(ways.values()))["clips"])
    header = [METRICS[name].title for name in metrics]
    mean_rows = [(way, *_numbers(scores["mean"], metrics)) for way, scores in ways.items()]
    clip_rows = [
        (clip, way, *_numbers(scores["clips"][clip]["mean"], metrics))
        for clip in clips
        for way, scores in ways.items()
    ]
    facts = [(key, value) for key, value in _flat(scored["about"]) if value is not None]
    lines = [
        f"# Scores by {protocol.name}",
        "",
        f"{protocol}.",
        "",
        *table([f"Mean (clips: {len(clips)})", *header], mean_rows),
        *_gains(ways, protocol),
        *_left_out(ways),
        "",
        *table(["Clip", "", *header], clip_rows),
        "",
        "## How they were made",
        "",
        *table(["", ""], facts),
    ]
    return "\n".join(lines) + "\n"


def _gains(ways: Mapping[str, Any], protocol: Protocol) -> list[str]:
    """A line for each way: how far it is above bicubic interpolation."""
    if BICUBIC not in ways:
        return []
    means = {way: float(scores["mean"][protocol.headline]) for way, scores in ways.items()}
    bicubic, unit = means.pop(BICUBIC), METRICS[protocol.headline].unit
    lines = []
    for way, mean in means.items():
        gain = f"{signed(mean - bicubic)} {unit}".rstrip()
        lines += ["", f"{way} against bicubic: **{gain}**."]
    return lines


def _left_out(ways: Mapping[str, Any]) -> list[str]:
    counts = [
        f"{way}: {count} {METRICS[metric].label} of {clip}"
        for way, scores in ways.items()
        for clip, of_clip in scores["clips"].items()
        for metric, count in of_clip["mean"].get("left-out", {}).items()
    ]
    return ["", f"Left out of means, since they aren't finite: {'; '.join(counts)}."] if counts else []


def _numbers(mean: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    return [number(mean.get(name), METRICS[name].digits) for name in metrics]


def _flat(about: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in about.items():
        pairs += _flat(value, f"{before}{key} ") if isinstance(value, Mapping) else [(before + key, value)]
    return pairs
