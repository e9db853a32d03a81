"""What differential privacy a run has promised, in numbers where there are any, else in plain words."""

import math
from collections import Counter
from collections.abc import Sequence

from fedvsr_core.gaussian_mechanism import composed_epsilon, noise_multiplier
from server_app.records.history import natural, trainings
from server_app.records.journal import Line
from server_app.records.markdown import table

CENTRAL_DELTA = 1e-5
"""Of all rounds together, for noise that the server adds."""

_LOCAL = (
    "The weights that a site sent tell any two sets of its videos, with as many windows to train on, apart no"
    " better than these figures say. Losses stayed at the site. The number of windows, seconds and"
    " memory didn't, and aren't covered."
)
_CENTRAL = (
    "Whoever sees the checkpoints, and nothing else, tells any two sets of videos of one client apart no"
    " better than that. The server itself isn't covered, nor the journal with its losses, nor the plots."
)
_REFUSED = "Replies were refused, and whose may depend on the videos: **no figure** holds for this run."


def privacy(lines: Sequence[Line]) -> list[str]:
    """A section of the summary; empty for a run without differential privacy.

    Args:
        lines: The journal.
    """
    # A round that a crash interrupted may have been seen, though no line tells of it.
    repeated = sum("resumed-after" in line for line in lines)
    sections = [*_local(lines, repeated), *_central(lines, repeated)]
    return ["## Differential privacy", *sections] if sections else []


def _local(lines: Sequence[Line], repeated: int) -> list[str]:
    """Each client that adds noise itself, with the weakest of its promises counted for every round."""
    asked: Counter[str] = Counter()
    promised: dict[str, tuple[float, float]] = {}
    for line in trainings(lines):
        asked.update({row["client"] for row in (*line["clients"], *line["refused"])})
        for row in line["clients"]:
            if "epsilon" in row:
                client, promise = row["client"], (float(row["epsilon"]), float(row["delta"]))
                promised[client] = max(promised.get(client, (0.0, 0.0)), promise)
    rows = []
    for client in sorted(promised, key=natural):
        (epsilon, delta), rounds = promised[client], asked[client] + repeated
        total = composed_epsilon(noise_multiplier(epsilon, delta), rounds, delta)
        rows.append((client, f"{epsilon:g}", rounds, _figure(total), f"{delta:g}"))
    header = ["Client", "epsilon of a round", "rounds", "epsilon of all", "delta of all"]
    return ["", *table(header, rows), "", _LOCAL] if rows else []


def _central(lines: Sequence[Line], repeated: int) -> list[str]:
    clipped = [line for line in trainings(lines) if "clipping-norm" in line]
    if not clipped:
        return []
    if any(line["refused"] for line in clipped):
        return ["", _REFUSED]
    # A client whose videos are others moves the sum of clipped updates by up to twice the norm. Adaptive
    # clipping also releases a count, which that moves by one; the multiplier covers both (Andrew et al.,
    # theorem 1).
    noise = min(float(line["noise-multiplier"]) for line in clipped) / 2
    rounds = len(clipped) + repeated
    total = composed_epsilon(noise, rounds, CENTRAL_DELTA) if noise > 0 else math.inf
    figure = f"The {rounds} rounds together: epsilon **{_figure(total)}** at a delta of {CENTRAL_DELTA:g}."
    return ["", figure, "", _CENTRAL]


def _figure(epsilon: float) -> str:
    return "more than 100, which promises nothing" if math.isinf(epsilon) else f"{epsilon:.2f}"
