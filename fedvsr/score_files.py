"""Scores of videos as files: JSON with everything, CSV of the frames, a page of Markdown, plots."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import DataError
from fedvsr_core.metrics.average import Mean, dataset_means, plain
from fedvsr_core.metrics.names import METRICS, PAIRED
from fedvsr_core.metrics.protocol import Protocol, check_same
from fedvsr_core.metrics.suite import Values
from server_app.records.journal import plain_json
from server_app.records.markdown import number, signed, table
from server_app.records.plots import COLOURS, finish_axes, write_figure

FORMAT = "fedvsr-scores-1"
BICUBIC = "bicubic"
_PANELS = 12
"""Clips that are plotted; the files have all."""


@dataclass(frozen=True)
class Scored:
    """Scores of one or more ways to upscale the same clips.

    Attributes:
        protocol: How they were made.
        about: What else there is to know: data, checkpoint, tiling, versions, seconds; plain JSON values.
        first: Number of the first scored frame, by clip.
        values: By way and clip.
    """

    protocol: Protocol
    about: Mapping[str, Any]
    first: Mapping[str, int]
    values: Mapping[str, Mapping[str, Values]]

    def means(self, way: str) -> dict[str, Any]:
        """Means over clips of one way, by metric."""
        return plain(dataset_means(self.values[way].values(), self.protocol.averaging))

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        scores = {
            way: {
                "mean": self.means(way),
                "clips": {
                    clip: {
                        "mean": plain({name: Mean.of(one) for name, one in values.items()}),
                        "first-frame": self.first[clip],
                        "frames": {name: list(one) for name, one in values.items()},
                    }
                    for clip, values in clips.items()
                },
            }
            for way, clips in self.values.items()
        }
        found = {
            "format": FORMAT,
            "protocol": self.protocol.facts(),
            "about": dict(self.about),
            "scores": scores,
        }
        return dict(plain_json(found))


def write_scores(scored: Scored, folder: Path, beside: Mapping[str, Any] | None = None) -> None:
    """Write ``scores.json``, ``scores.csv``, ``scores.md`` and a plot for each metric.

    Args:
        scored: What to write.
        folder: Where; it exists.
        beside: Other scores that `read_scores` read, to be shown beside these.
    """
    found = scored.as_json()
    write_atomically(folder / "scores.json", (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    write_atomically(folder / "scores.csv", _csv(scored).encode())
    write_atomically(folder / "scores.md", markdown(found, beside).encode())
    for metric in scored.protocol.reported:
        _plot(scored, metric, folder / f"{metric}.png")


def read_scores(path: Path, *, like: Protocol, clips: Sequence[str]) -> dict[str, Any]:
    """Read ``scores.json`` of another evaluation, to be compared with scores of this protocol.

    Args:
        path: The file, or the folder that holds it.
        like: The protocol of the scores that it is to be compared with.
        clips: Their clips.

    Raises:
        DataError: If there is no such file, or it has other clips.
        ConfigurationError: If it was made by another protocol.
    """
    file = path / "scores.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"'{file}' can't be read as scores: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"'{file}' must be a scores.json that 'fedvsr evaluate' wrote, and isn't")
    check_same(like.facts(), found["protocol"], f"'{file}'")
    for way, scores in found["scores"].items():
        if differing := sorted(set(scores["clips"]) ^ set(clips)):
            raise DataError(
                f"scores on other clips don't compare: '{file}' ({way}) and these differ in"
                f" {', '.join(differing[:5])}"
            )
    return found


def markdown(found: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> str:
    """A page about scores, as `Scored.as_json` gives them.

    Args:
        found: The scores.
        beside: Others of the same protocol.
    """
    protocol = Protocol(**found["protocol"])
    metrics = protocol.reported
    ways = dict(found["scores"])
    if beside:
        ways |= {f"{way} (beside)": scores for way, scores in beside["scores"].items() if way != BICUBIC}
    means = [(way, *_cells(scores["mean"], metrics)) for way, scores in ways.items()]
    clips = [
        (clip, way, *_cells(scores["clips"][clip]["mean"], metrics))
        for clip in next(iter(ways.values()))["clips"]
        for way, scores in ways.items()
    ]
    header = [METRICS[name].title for name in metrics]
    facts = [(key, value) for key, value in _flat(found["about"]) if value is not None]
    lines = [
        f"# Scores by {protocol.name}",
        "",
        f"{protocol}.",
        "",
        *table([f"Mean (clips: {len(next(iter(ways.values()))['clips'])})", *header], means),
        *_gains(ways, protocol),
        *_left_out(ways),
        "",
        *table(["Clip", "", *header], clips),
        "",
        "## How they were made",
        "",
        *table(["", ""], facts),
    ]
    return "\n".join(lines) + "\n"


def _gains(ways: Mapping[str, Any], protocol: Protocol) -> list[str]:
    metric = protocol.headline
    if BICUBIC not in ways:
        return []
    base = float(ways[BICUBIC]["mean"][metric])
    gains = {way: float(one["mean"][metric]) - base for way, one in ways.items() if way != BICUBIC}
    about = METRICS[metric]
    return [
        line
        for way, gain in gains.items()
        for line in (
            "",
            f"{way} against bicubic: **{signed(gain)}{f' {about.unit}' if about.unit else ''}**.",
        )
    ]


def _left_out(ways: Mapping[str, Any]) -> list[str]:
    found = [
        f"{way}: {count} {METRICS[metric].label} of {clip}"
        for way, scores in ways.items()
        for clip, one in scores["clips"].items()
        for metric, count in one["mean"].get("left-out", {}).items()
    ]
    return ["", f"Left out of means, since they aren't finite: {'; '.join(found)}."] if found else []


def _cells(mean: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    return [number(mean.get(name), METRICS[name].digits) for name in metrics]


def _flat(about: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in about.items():
        pairs += _flat(value, f"{before}{key} ") if isinstance(value, Mapping) else [(before + key, value)]
    return pairs


def _csv(scored: Scored) -> str:
    """A row for each frame; the value of a pair of frames stands at the first of them."""
    text, metrics = io.StringIO(), scored.protocol.reported
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["clip", "frame", "upscaled by", *metrics])
    for way, clips in scored.values.items():
        for clip, values in clips.items():
            length = max((len(one) + (name in PAIRED) for name, one in values.items()), default=0)
            for index in range(length):
                cells = [
                    repr(float(values[name][index])) if index < len(values[name]) else "" for name in metrics
                ]
                rows.writerow([clip, scored.first[clip] + index, way, *cells])
            rows.writerow([clip, "mean", way, *(repr(Mean.of(values[name]).value) for name in metrics)])
        means = scored.means(way)
        rows.writerow(["all clips", "mean", way, *(repr(means[name]) for name in metrics)])
    return text.getvalue()


def _plot(scored: Scored, metric: str, path: Path) -> None:
    clips = list(scored.first)[:_PANELS]
    figure = Figure(figsize=(8.0, 0.8 + 2.0 * len(clips)), dpi=120, layout="constrained")
    all_axes = figure.subplots(len(clips), 1, squeeze=False, sharex=True)[:, 0]
    for axes, clip in zip(all_axes, clips, strict=True):
        for (way, values), colour in zip(scored.values.items(), COLOURS, strict=False):
            scores = [one if math.isfinite(one) else math.nan for one in values[clip][metric]]
            frames = range(scored.first[clip], scored.first[clip] + len(scores))
            axes.plot(frames, scores, label=way, color=colour, marker="." if len(scores) < 3 else "")
        finish_axes(axes, clip, METRICS[metric].title, legend=axes is all_axes[0], over="frame")
    figure.suptitle(f"{METRICS[metric].label}, protocol {scored.protocol.name}", fontsize=10)
    write_figure(figure, path)
