"""Scores of videos as files: JSON with everything, CSV of the frames, a page for people, plots."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fedvsr.evaluation.score_page import score_page
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import DataError
from fedvsr_core.json_text import parse_json
from fedvsr_core.metrics.average import Mean, dataset_means, plain
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol, check_same
from fedvsr_core.metrics.suite import Values
from server_app.records.journal import plain_json
from server_app.records.plots import COLOURS, finish_axes, write_figure

FORMAT = "fedvsr-scores-1"
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
                        "mean": plain({name: Mean.of(frames) for name, frames in values.items()}),
                        "first-frame": self.first[clip],
                        "frames": {name: list(frames) for name, frames in values.items()},
                    }
                    for clip, values in clips.items()
                },
            }
            for way, clips in self.values.items()
        }
        everything = {
            "format": FORMAT,
            "protocol": self.protocol.facts(),
            "about": dict(self.about),
            "scores": scores,
        }
        return dict(plain_json(everything))


def write_scores(scored: Scored, folder: Path, others: Mapping[str, Any] | None = None) -> None:
    """Write ``scores.json``, ``scores.csv``, ``scores.md`` and a plot for each metric.

    Args:
        scored: What to write.
        folder: Where; it exists.
        others: Scores that `read_scores` read, to be shown with these.
    """
    everything = scored.as_json()
    text = json.dumps(everything, indent=1, allow_nan=False) + "\n"
    write_atomically(folder / "scores.json", text.encode())
    write_atomically(folder / "scores.csv", _csv(scored).encode())
    write_atomically(folder / "scores.md", score_page(everything, others).encode())
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
        theirs = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"'{file}' can't be read as scores: {error}") from error
    if not isinstance(theirs, dict) or theirs.get("format") != FORMAT:
        raise DataError(f"'{file}' must be a scores.json that 'fedvsr evaluate' wrote, and isn't")
    try:
        _check_scores(theirs)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"'{file}' is damaged: {error!r:.200} is missing or wrong; evaluate again") from error
    check_same(like.facts(), theirs["protocol"], f"'{file}'")
    for way, scores in theirs["scores"].items():
        if differing := sorted(set(scores["clips"]) ^ set(clips)):
            raise DataError(
                f"scores on other clips don't compare: '{file}' ({way}) and these differ in"
                f" {', '.join(differing[:5])}"
            )
    return theirs


def _check_scores(theirs: Mapping[str, Any]) -> None:
    """Touch all that a page shows of scores; raises whatever is wrong with them."""
    Protocol(**theirs["protocol"])
    for scores in theirs["scores"].values():
        for mean in (scores["mean"], *(clip["mean"] for clip in scores["clips"].values())):
            dict(mean.get("left-out", {}))
            for metric in METRICS.keys() & mean.keys():
                float(mean[metric])


def _csv(scored: Scored) -> str:
    """A row for each frame; the value of a pair of frames stands at the first of them."""
    text, metrics = io.StringIO(), scored.protocol.reported
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["clip", "frame", "upscaled by", *metrics])
    for way, clips in scored.values.items():
        for clip, values in clips.items():
            length = max((len(scores) + METRICS[name].paired for name, scores in values.items()), default=0)
            for index in range(length):
                scores = [
                    repr(float(values[name][index])) if index < len(values[name]) else "" for name in metrics
                ]
                rows.writerow([clip, scored.first[clip] + index, way, *scores])
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
            scores = [score if math.isfinite(score) else math.nan for score in values[clip][metric]]
            frames = range(scored.first[clip], scored.first[clip] + len(scores))
            axes.plot(frames, scores, label=way, color=colour, marker="." if len(scores) < 3 else "")
        finish_axes(axes, clip, METRICS[metric].title, legend=axes is all_axes[0], over="frame")
    figure.suptitle(f"{METRICS[metric].label}, protocol {scored.protocol.name}", fontsize=10)
    write_figure(figure, path)
