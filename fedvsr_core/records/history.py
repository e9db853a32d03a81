"""A run's rounds, read from the lines of its journal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedvsr_core.records.journal import Line

METRICS = ("psnr-y", "ssim-y", "psnr-rgb", "ssim-rgb")


@dataclass(frozen=True)
class Evaluation:
    """The scores of one round's model on the held-out clips, beside those of bicubic interpolation.

    Attributes:
        round: Rounds of training before it.
        mean: Means over the clips by metric, such as ``psnr-y``.
        clips: The same by clip.
        bicubic: `mean` of bicubic interpolation on the same frames; empty if the journal has none.
        bicubic_clips: `clips` of bicubic interpolation.
    """

    round: int
    mean: dict[str, float]
    clips: dict[str, dict[str, float]]
    bicubic: dict[str, float]
    bicubic_clips: dict[str, dict[str, float]]

    def gain(self, metric: str = "psnr-y") -> float:
        """How much the model is above bicubic interpolation; NaN if one of the two is unknown."""
        return self.mean.get(metric, math.nan) - self.bicubic.get(metric, math.nan)

    def clip_gain(self, clip: str, metric: str = "psnr-y") -> float:
        """The same for one clip."""
        bicubic = self.bicubic_clips.get(clip, {})
        return self.clips[clip].get(metric, math.nan) - bicubic.get(metric, math.nan)


def evaluations(lines: Sequence[Line]) -> list[Evaluation]:
    """All evaluations by round; where a line has no ``bicubic``, that of the line before it counts."""
    found: dict[int, Evaluation] = {}
    bicubic: Mapping[str, Any] = {}
    for line in lines:
        if line["phase"] == "evaluate":
            bicubic = line.get("bicubic") or bicubic
            found[line["round"]] = Evaluation(
                line["round"], _mean(line), _clips(line), _mean(bicubic), _clips(bicubic)
            )
    return [found[number] for number in sorted(found)]


def best_evaluation(lines: Sequence[Line]) -> Evaluation | None:
    """The evaluation whose PSNR-Y is highest above bicubic; the first of equals, None if there is none.

    The last round may be scored on more frames than the others, so plain scores don't compare.
    """
    sound = [one for one in evaluations(lines) if not math.isnan(one.mean.get("psnr-y", math.nan))]
    return max(sound, key=lambda one: one.mean["psnr-y"] - one.bicubic.get("psnr-y", 0.0), default=None)


def trainings(lines: Sequence[Line]) -> list[Line]:
    """The ``train`` lines by round."""
    found = {line["round"]: line for line in lines if line["phase"] == "train"}
    return [found[number] for number in sorted(found)]


def client_series(lines: Sequence[Line], what: str) -> dict[str, dict[int, float]]:
    """A number that clients report, such as ``loss`` or ``weight``.

    Returns:
        For each client in natural order (``partition-2`` before ``partition-10``), its value by round.
    """
    series: dict[str, dict[int, float]] = {}
    for line in trainings(lines):
        for client in line["clients"]:
            if client.get(what) is not None:
                series.setdefault(client["client"], {})[line["round"]] = float(client[what])
    return dict(sorted(series.items(), key=lambda item: natural(item[0])))


def natural(name: str) -> tuple[str, int, str]:
    """A sorting key that counts: names with a number at the end are put in the order of these numbers."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0), name


def _mean(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(scores[name]) for name in METRICS if name in scores}


def _clips(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {clip: _mean(values) for clip, values in scores.get("clips", {}).items()}
