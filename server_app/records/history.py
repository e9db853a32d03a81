"""A run's rounds, read from the lines of its journal."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedvsr_core.flower import keys
from fedvsr_core.metrics.names import METRICS
from server_app.records.journal import Line

MEAN = "mean of the clients"
"""The name of the row that a secure round has in the place of its clients'."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of one round's model on the held-out clips, with those of bicubic interpolation.

    Attributes:
        round: Rounds of training before it.
        mean: Means over the clips by metric, such as ``psnr-y``.
        clips: The same by clip.
        bicubic: `mean` of bicubic interpolation on the same frames; empty if the journal has none.
        bicubic_clips: `clips` of bicubic interpolation.
        protocol: How they were made, as `fedvsr_core.metrics.protocol.Protocol.facts`; empty if unknown.
    """

    round: int
    mean: dict[str, float]
    clips: dict[str, dict[str, float]]
    bicubic: dict[str, float]
    bicubic_clips: dict[str, dict[str, float]]
    protocol: Mapping[str, Any]

    @property
    def headline(self) -> str:
        """The metric that counts."""
        return str(self.protocol["metrics"][0]) if self.protocol else "psnr-y"

    def gain(self, metric: str = "") -> float:
        """How far the model is above bicubic interpolation in a metric; NaN if one of the two is unknown.

        Args:
            metric: Its name; the headline if empty.
        """
        metric = metric or self.headline
        return self.mean.get(metric, math.nan) - self.bicubic.get(metric, math.nan)

    def clip_gain(self, clip: str, metric: str = "") -> float:
        """The same for one clip."""
        metric, bicubic = metric or self.headline, self.bicubic_clips.get(clip, {})
        return self.clips[clip].get(metric, math.nan) - bicubic.get(metric, math.nan)

    @property
    def merit(self) -> float:
        """What the best round has most of: the gain, or the score where bicubic's is unknown."""
        score = self.mean.get(self.headline, math.nan) - self.bicubic.get(self.headline, 0.0)
        return -score if METRICS[self.headline].best == "low" else score


def evaluations(lines: Sequence[Line], phase: str = "evaluate") -> list[Evaluation]:
    """All evaluations by round; where a line has no ``bicubic``, that of the line before it counts.

    Args:
        lines: The journal.
        phase: ``evaluate``, or ``evaluate-clients`` for those on the clients' own clips.
    """
    by_round: dict[int, Evaluation] = {}
    bicubic: Mapping[str, Any] = {}
    for line in lines:
        if line["phase"] == phase:
            bicubic = line.get("bicubic") or bicubic
            by_round[line["round"]] = Evaluation(
                line["round"],
                _mean(line),
                _clips(line),
                _mean(bicubic),
                _clips(bicubic),
                line.get("protocol", {}),
            )
    return [by_round[number] for number in sorted(by_round)]


def measured(scored: Iterable[Evaluation]) -> list[str]:
    """The metrics that at least one of these has: in between, a run may measure the headline alone."""
    return list(dict.fromkeys(name for evaluation in scored for name in evaluation.mean))


def best_evaluation(lines: Sequence[Line]) -> Evaluation | None:
    """The evaluation that is furthest above bicubic; the first of equals, None if there is none.

    The last round may be scored on more frames than the others, so plain scores don't compare.
    """
    scored = [evaluation for evaluation in evaluations(lines) if not math.isnan(evaluation.merit)]
    return max(scored, key=lambda evaluation: evaluation.merit, default=None)


def starts(lines: Sequence[Line]) -> list[Line]:
    """The ``start`` lines: the first of the run itself, the others of attempts to continue it."""
    return [line for line in lines if line["phase"] == "start"]


def trainings(lines: Sequence[Line]) -> list[Line]:
    """The ``train`` lines by round."""
    by_round = {line["round"]: line for line in lines if line["phase"] == "train"}
    return [by_round[number] for number in sorted(by_round)]


def reports(line: Line) -> list[Line]:
    """What is known of the clients of a round: a row for each, or one with their means if it was secure.

    Args:
        line: A ``train`` line.
    """
    sums = (line.get("secure") or {}).get("sums")
    if sums is None:
        return list(line["clients"])
    count, prefix = float(sums[keys.CLIENTS]), keys.LOSS_PART_PREFIX
    return [
        {
            "client": MEAN,
            "loss": float(sums.get(keys.LOSS, math.nan)) / count,
            "parts": {
                name.removeprefix(prefix): float(value) / count
                for name, value in sums.items()
                if name.startswith(prefix)
            },
            "examples": sums[keys.NUM_EXAMPLES],
            "seconds": float(sums[keys.SECONDS]) / count,
        }
    ]


def pointed_against(lines: Sequence[Line], server_round: int) -> list[str]:
    """The clients whose update counted and went against most others', since the model was scored before.

    Args:
        lines: The journal.
        server_round: The round after which it was scored last.
    """
    before = max((line["round"] for line in _scored(lines) if line["round"] < server_round), default=0)
    rows = [row for line in trainings(lines) if line["round"] > before for row in line["clients"]]
    return sorted({row["client"] for row in rows if row.get("agreement", 0.0) < 0}, key=natural)


def _scored(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line["phase"] == "evaluate"]


def rounds_done(lines: Sequence[Line]) -> int:
    """The last round of training on record; 0 if there is none."""
    return max((line["round"] for line in lines if line["phase"] == "train"), default=0)


def seconds_spent(lines: Sequence[Line]) -> float:
    """How long all rounds and scorings have taken."""
    return sum(float(line["seconds"]) for line in lines if line["phase"] != "end" and "seconds" in line)


def seconds_left(lines: Sequence[Line]) -> float | None:
    """How long the rounds that are left take at the pace so far; None before the first one is done."""
    attempts, done = starts(lines), rounds_done(lines)
    asked = attempts[-1].get("rounds") if attempts else None
    return (asked - done) * seconds_spent(lines) / done if asked and done else None


def outcome(lines: Sequence[Line]) -> str | None:
    """How the last attempt ended, ``completed`` or why it stopped; None while it runs, or if it was killed.

    An end that comes before the last start is of an earlier attempt.
    """
    return str(lines[-1]["outcome"]) if lines and lines[-1]["phase"] == "end" else None


def ends(lines: Sequence[Line]) -> int:
    """How many attempts have come to an end, completed or not."""
    return sum(line["phase"] == "end" for line in lines)


def client_series(lines: Sequence[Line], what: str) -> dict[str, dict[int, float]]:
    """A number that clients report, such as ``loss`` or ``weight``.

    Returns:
        For each client in natural order (``partition-2`` before ``partition-10``), its value by round; of
        secure rounds the mean.
    """
    series: dict[str, dict[int, float]] = {}
    for line in trainings(lines):
        for client in reports(line):
            if client.get(what) is not None:
                series.setdefault(client["client"], {})[line["round"]] = float(client[what])
    return dict(sorted(series.items(), key=lambda item: natural(item[0])))


def loss_parts(lines: Sequence[Line]) -> dict[str, dict[str, dict[int, float]]]:
    """The parts of the loss by name, each like the total: by client and round."""
    parts: dict[str, dict[str, dict[int, float]]] = {}
    for line in trainings(lines):
        for client in reports(line):
            for name, value in client.get("parts", {}).items():
                parts.setdefault(name, {}).setdefault(client["client"], {})[line["round"]] = float(value)
    return dict(sorted(parts.items()))


def natural(name: str) -> tuple[str, int, str]:
    """A sorting key that counts: names with a number at the end are put in the order of these numbers."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0), name


def _mean(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(scores[name]) for name in scores if name in METRICS}


def _clips(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    clips = scores.get("clips")
    return {clip: _mean(of_clip) for clip, of_clip in clips.items()} if isinstance(clips, Mapping) else {}
