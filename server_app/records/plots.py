"""Pictures of a run's course, drawn from its journal."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import (
    Evaluation,
    client_series,
    evaluations,
    loss_parts,
    measured,
    trainings,
)
from server_app.records.journal import Line

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#5D3A9B")
"""Colours that colour-blind readers tell apart; more series than these are drawn alike.

Source: Okabe and Ito 2008, with brown and violet for yellow and black.
"""
STRONG, OWN, FAINT, GRID = "#1A1A1A", "#A51C30", "#8A97A6", "#E4E7EB"
_END_GAP = 0.07  # of a panel's height, between final values
FEW_CLIENTS = 4  # up to here their weights are lines, above a heat map
MANY_ROUNDS = 30  # from here on lines have no markers

rcParams["text.parse_math"] = False  # a client's name may hold dollars

Values = Mapping[int, float]
"""Values by round."""


def plot_psnr(lines: Sequence[Line], path: Path) -> None:
    """Draw the score against rounds: the mean and bicubic's above, the gain of each clip below.

    The score is the protocol's first metric, PSNR-Y unless another is asked for. Where clients have scored
    the model on clips of their own, the gain on those is drawn too. Metrics that were asked for besides
    PSNR and SSIM get a panel each.

    Args:
        lines: The journal.
        path: The PNG to write; nothing is written if no round was scored.
    """
    scored = evaluations(lines)
    if not scored:
        return
    metric = scored[-1].headline
    about = METRICS[metric]
    names = measured(scored)
    further = [name for name in names if name != metric and not name.startswith(("psnr", "ssim"))]
    figure, (above, below, *others) = _figure(panels=2 + len(further))
    _model_and_bicubic(above, scored, metric)
    protocol = scored[-1].protocol.get("name")
    by = f" (protocol {protocol})" if protocol else ""
    finish_axes(above, f"Held-out video, mean of the clips{by}", about.title)
    of_clips = {
        clip: {scores.round: scores.clip_gain(clip) for scores in scored} for clip in scored[-1].clips
    }
    _lines(below, of_clips, "clips")
    _line(below, _gains(scored), "mean of the clips", STRONG, 2.2)
    if on_clients := evaluations(lines, "evaluate-clients"):
        _line(below, _gains(on_clients), "clients' own clips", OWN, 1.0)
    _reference(below, {0: 0.0}, "bicubic")
    finish_axes(below, "Gain over bicubic", f"{about.label} gain{f' ({about.unit})' if about.unit else ''}")
    for axes, name in zip(others, further, strict=True):
        _model_and_bicubic(axes, scored, name)
        finish_axes(axes, f"{METRICS[name].label}, mean of the clips", METRICS[name].title, legend=False)
    write_figure(figure, path)


def plot_losses(lines: Sequence[Line], path: Path) -> None:
    """Draw the training loss of each client against rounds, and the parts that it is made of.

    Args:
        lines: The journal.
        path: The PNG to write; nothing is written if no client ever replied.
    """
    total = client_series(lines, "loss")
    if not total:
        return
    parts = loss_parts(lines)
    panels = {"Training loss": total} | (
        {f"Part: {name}": parts[name] for name in parts} if len(parts) > 1 else {}
    )
    figure, all_axes = _figure(len(panels))
    for axes, (title, series) in zip(all_axes, panels.items(), strict=True):
        _lines(axes, series, "clients")
        if len(series) > len(COLOURS):
            _line(axes, _mean_by_round(series), "mean of the clients", STRONG, 2.2)
        finish_axes(axes, title, "loss", legend=axes is all_axes[0])
    write_figure(figure, path)


def plot_weights(lines: Sequence[Line], path: Path) -> None:
    """Draw how much each client counted in each round: lines for a few clients, a heat map for many.

    Args:
        lines: The journal.
        path: The PNG to write; nothing is written if no client ever counted.
    """
    series = client_series(lines, "weight")
    if not series:
        return
    takers = {line["round"]: len(line["clients"]) for line in trainings(lines)}
    # Breaks where a client took no part, so that no line is drawn through these rounds.
    weights = {
        name: {number: values.get(number, math.nan) for number in takers} for name, values in series.items()
    }
    if len(weights) <= FEW_CLIENTS:
        figure, (axes,) = _figure(panels=1)
        percent = {
            name: {number: 100 * value for number, value in values.items()}
            for name, values in weights.items()
        }
        _lines(axes, percent, "clients", markers=True)
        _reference(axes, {number: 100 / count for number, count in takers.items() if count}, "equal shares")
        finish_axes(axes, "Weight of each client in the average", "weight (%)")
    else:
        shares = {
            name: [value * takers[number] for number, value in values.items()]
            for name, values in weights.items()
        }
        figure = _heat_map(shares, list(takers))
    write_figure(figure, path)


def _model_and_bicubic(axes: Axes, scored: Sequence[Evaluation], metric: str) -> None:
    scored = [scores for scores in scored if metric in scores.mean]
    model = {scores.round: scores.mean[metric] for scores in scored}
    bicubic = {scores.round: scores.bicubic.get(metric, math.nan) for scores in scored}
    _line(axes, model, "federated model", STRONG, 2.2)
    _reference(axes, bicubic, "bicubic")


def _gains(scored: Sequence[Evaluation]) -> Values:
    return {scores.round: scores.gain() for scores in scored}


def _heat_map(shares: Mapping[str, Sequence[float]], rounds: Sequence[int]) -> Figure:
    figure = Figure(figsize=(8.0, min(1.6 + 0.16 * len(shares), 12)), dpi=150, layout="constrained")
    axes = figure.subplots()
    columns = np.append(np.array(rounds) - 0.5, rounds[-1] + 0.5)
    rows = np.arange(len(shares) + 1) - 0.5
    mesh = axes.pcolormesh(columns, rows, np.array(list(shares.values())), cmap="viridis")
    step = math.ceil(len(shares) / 60)
    axes.set_yticks(range(0, len(shares), step), list(shares)[::step], fontsize=7)
    axes.invert_yaxis()
    _counting_axis(axes, "round")
    axes.set_title("Weight of each client in the average (white: took no part)", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.colorbar(mesh, ax=axes, label="weight over equal share", aspect=30, pad=0.02)
    return figure


def _lines(axes: Axes, series: Mapping[str, Values], kind: str, *, markers: bool = False) -> None:
    if len(series) <= len(COLOURS):
        for (name, values), colour in zip(series.items(), COLOURS, strict=False):
            _line(axes, values, name, colour, 1.2, markers=markers)
    else:
        for index, values in enumerate(series.values()):
            label = f"each of {len(series)} {kind}" if index == 0 else "_nolegend_"
            _line(axes, values, label, FAINT, 0.7)


def _line(
    axes: Axes, values: Values, label: str, colour: str, width: float, *, markers: bool = False
) -> None:
    marker = "o" if markers or len(values) <= MANY_ROUNDS else ""
    axes.plot(
        list(values),
        list(values.values()),
        label=label,
        color=colour,
        linewidth=width,
        marker=marker,
        markersize=1.5 + width,
    )


def _reference(axes: Axes, values: Values, label: str) -> None:
    """Draw what the lines are compared with: across the whole picture if it is the same in all rounds."""
    if len(set(values.values())) == 1:
        line = axes.axhline(next(iter(values.values())))
    else:
        (line,) = axes.plot(list(values), list(values.values()))
    line.set(color=STRONG, linestyle=(0, (5, 2)), linewidth=1.2, label=label)


def finish_axes(axes: Axes, title: str, ylabel: str, *, legend: bool = True, over: str = "round") -> None:
    """Give a panel its title, labels, grid and legend; ``over`` is what its whole-numbered axis counts."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel(ylabel)
    axes.ticklabel_format(axis="y", useOffset=False)
    _counting_axis(axes, over)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    label_ends(axes)
    if legend:
        axes.legend(loc="upper left", bbox_to_anchor=(1.06, 1.0), frameon=False, fontsize=8)


def label_ends(axes: Axes) -> None:
    """Write the final value of each named line beside its end, moved apart where lines end close together."""
    low, high = axes.get_ylim()
    gap, below = (high - low) * _END_GAP, -math.inf
    ends = []
    for line in axes.get_lines():
        places, values = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        known = np.isfinite(values)
        if len(places) > 1 and known.any() and not str(line.get_label()).startswith("_"):
            across = line.get_transform().contains_branch_seperately(axes.transData)[0]  # no axhline
            end = float(places[known][-1]) if across else axes.dataLim.x1
            ends.append((float(values[known][-1]), end, line.get_color()))
    for value, place, colour in sorted(ends, key=lambda end: end[0]):
        below = max(value, below + gap)
        axes.annotate(
            f"{value:.4g}",
            (place, below),
            (4, 0),
            textcoords="offset points",
            fontsize=7,
            color=colour,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},  # a reference goes on below it
            annotation_clip=False,
            in_layout=False,
        )


def _counting_axis(axes: Axes, over: str) -> None:
    left, right = axes.dataLim.intervalx
    if left == right:
        axes.set_xlim(left - 0.5, right + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlabel(over)
    axes.label_outer()


def _mean_by_round(series: Mapping[str, Values]) -> dict[int, float]:
    rounds = sorted({number for values in series.values() for number in values})
    return {
        number: float(np.mean([values[number] for values in series.values() if number in values]))
        for number in rounds
    }


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(8.0, 0.8 + 2.3 * panels), dpi=150, layout="constrained")
    return figure, list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure, all of it or nothing, as PNG or as what the suffix says."""
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lstrip(".") or "png")
    write_atomically(path, picture.getvalue())
