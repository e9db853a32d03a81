"""Curves of a comparison: the score against rounds, bytes and seconds."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fedvsr.comparison.tables import Runs
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import evaluations, trainings
from server_app.records.journal import Line
from server_app.records.plots import COLOURS, GRID, STRONG, label_ends, write_figure

_AXES: dict[str, Callable[[Line], float]] = {
    "round": lambda line: 1.0,
    "MB sent, both ways": lambda line: (line["bytes-up"] + line["bytes-down"]) / 1e6,
    "seconds of training rounds": lambda line: float(line["seconds"]),
}


def plot_curves(runs: Runs, metric: str, paths: Sequence[Path]) -> None:
    """Draw a line for each strategy, the mean over its seeds, in a band from the lowest to the highest seed.

    Args:
        runs: Completed runs.
        metric: Its name.
        paths: Files to write, PNG or SVG by their suffix.
    """
    figure = Figure(figsize=(13.0, 4.2), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(_AXES), sharey=True)
    for axes, (label, cost) in zip(panels, _AXES.items(), strict=True):
        for index, (name, seeds) in enumerate(runs.items()):
            curves = [_curve(lines, metric, cost) for lines in seeds.values()]
            places = np.mean([[x for x, _ in curve] for curve in curves], axis=0)
            values = np.array([[y for _, y in curve] for curve in curves])
            colour = COLOURS[index % len(COLOURS)]
            dashes = "-" if index < len(COLOURS) else "--"
            axes.plot(places, values.mean(axis=0), dashes, label=name, color=colour, linewidth=1.6)
            if len(curves) > 1:
                axes.fill_between(places, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15)
        first = evaluations(next(iter(next(iter(runs.values())).values())))[-1]
        if metric in first.bicubic:
            axes.axhline(
                first.bicubic[metric], color=STRONG, linestyle=(0, (5, 2)), linewidth=1.2, label="bicubic"
            )
        label_ends(axes)
        axes.set_xlabel(label)
        axes.grid(visible=True, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(METRICS[metric].title)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.08, 1.0), frameon=False, fontsize=8)
    for path in paths:
        write_figure(figure, path)


def _curve(lines: Sequence[Line], metric: str, cost: Callable[[Line], float]) -> list[tuple[float, float]]:
    """Cost so far and score, for each round that has one."""
    trained = trainings(lines)
    so_far = dict(zip([line["round"] for line in trained], accumulate(map(cost, trained)), strict=True))
    scored = [evaluation for evaluation in evaluations(lines) if metric in evaluation.mean]
    return [(so_far.get(evaluation.round, 0.0), evaluation.mean[metric]) for evaluation in scored]
