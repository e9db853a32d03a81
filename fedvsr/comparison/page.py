"""The page of a comparison: tables, curves with the bounds, and crops to slide between strategies."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fedvsr.comparison.entries import is_bound
from fedvsr.comparison.seed_means import best, difference, seed_mean
from fedvsr.comparison.tables import Results, Rows, final_scores
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.psnr import psnr
from server_app.page.charts import Line as Drawn
from server_app.page.charts import chart, colour_of
from server_app.page.pictures import embedded
from server_app.page.rendering import page, rounded, shown
from server_app.records.crop_series import SIDE, sheet
from server_app.records.crops import BICUBIC, TRUTH, Frame, place_of_crop
from server_app.records.history import evaluations, trainings
from server_app.records.journal import Line

_CLIPS = 4
_FIGURES = 6
_PARTS = {
    "quality": "Scores",
    "curves": "Curves",
    "crops": "Before and after",
    "costs": "Costs",
    "repeat": "What ran",
}
_SCORES = (
    "Mean \u00b1 standard deviation over seeds; differences are paired by seed, with the 95 % interval of"
    " Student's t. In bold stands what is better than every other strategy by a difference whose interval"
    " leaves out 0."
)
_CURVES = (
    "A line is the mean over seeds, its band goes from the lowest to the highest seed. What strategies are"
    " measured by is dashed: bicubic, and the bounds where they were trained."
)
_CROPS = (
    "Where the strategies differ most on some held-out clips, by the first seed's final models. Move over a"
    " picture, or move the slider; left and right can be chosen. The scores are of the whole frame."
)
_COSTS: Mapping[str, Callable[[Line], float]] = {
    "MB sent, both ways": lambda line: (line["bytes-up"] + line["bytes-down"]) / 1e6,
    "seconds of training rounds": lambda line: float(line["seconds"]),
}


def comparison_page(
    results: Results,
    *,
    metrics: Sequence[str],
    scores: Rows,
    own: Rows | None,
    overhead: Rows,
    reference: str,
    facts: Sequence[tuple[str, object]],
    command: str,
    crops: Mapping[str, Mapping[str, Frame]],
    title: str = "Comparison",
    about_bounds: str = "",
    tuning: Rows | None = None,
    left: int = 0,
) -> bytes:
    """Make the page.

    Args:
        results: Journals of completed trials by row and seed.
        metrics: Their metrics, the headline first.
        scores: The table of scores.
        own: That of the clients' own clips, if they scored any.
        overhead: That of costs.
        reference: The row that the others are compared with.
        facts: What ran.
        command: That started it.
        crops: Whole frames by clip and by who made them.
        title: Of the page.
        about_bounds: What bounds are, if there are any.
        tuning: The table of what was tried, if anything was.
        left: Trials that are still to come.

    Returns:
        HTML, as UTF-8.
    """
    curves = [_over_rounds(results, metric, index) for index, metric in enumerate(metrics)]
    curves += [
        _over_cost(results, metrics[0], label, cost, index)
        for index, (label, cost) in enumerate(_COSTS.items())
    ]
    pictures = _pictures(crops)
    apart = [_intervals(results, metric, reference, index) for index, metric in enumerate(metrics)]
    intervals = [each for each in apart if each["rows"]]
    return page(
        "comparison",
        data={
            "charts": [each for each in curves if each],
            "intervals": intervals,
            "grid": None,
            "crops": pictures,
        },
        title=title,
        state=_state(results, metrics[0], left),
        mood="",
        can_reload=left > 0,
        parts=[(name, heading) for name, heading in _PARTS.items() if name != "crops" or pictures],
        figures=_figures(results, metrics[0], reference),
        footer="Made from the journals of the completed trials; this file holds all that it shows.",
        scores_note=_SCORES,
        intervals=intervals,
        reference=shown(reference),
        score_header=scores[0],
        score_rows=scores[1],
        own_header=own[0] if own else [],
        own_rows=own[1] if own else [],
        curves_note=f"{_CURVES} {about_bounds.replace('*', '')}",
        curves=[each for each in curves if each],
        with_crops=pictures is not None,
        crops_note=_CROPS,
        cost_header=overhead[0],
        cost_rows=overhead[1],
        tuning_header=tuning[0] if tuning else [],
        tuning_rows=tuning[1] if tuning else [],
        command=shown(command, 2000),
        facts=[(name, shown(value, 2000)) for name, value in facts],
    )


def _state(results: Results, metric: str, left: int) -> str:
    """Who is ahead, if anybody is beyond what seeds do by themselves."""
    strategies = {row: each for row, each in final_scores(results, metric).items() if not is_bound(row)}
    ahead = best(strategies, higher=METRICS[metric].best == "high")
    label = METRICS[metric].label
    if ahead:
        words = f"{ahead} is better than every other strategy by {label}"
    elif len(strategies) > 1:
        words = f"No strategy is better than every other by {label}, beyond what seeds do by themselves"
    else:
        words = "Only one strategy has a result"
    return shown(f"{words}{f'; {left} runs are still to come' if left else ''}.", 1000)


def _figures(results: Results, metric: str, reference: str) -> list[tuple[str, str]]:
    """The first metric's mean of each row, with how far it may be trusted."""
    about, scores = METRICS[metric], final_scores(results, metric)
    unit = f" {about.unit}" if about.unit else ""
    figures = []
    for row, values in list(scores.items())[:_FIGURES]:
        mean = seed_mean(list(values.values()))
        apart = difference(values, scores.get(reference, {})) if row != reference else None
        words = f"{row}, {about.label}"
        words += f", {apart.interval(about.digits)} to {reference}" if apart else ""
        figures.append((shown(words), f"{mean.mean:.{about.digits}f}{unit}"))
    return figures


def _intervals(results: Results, metric: str, reference: str, index: int) -> dict[str, Any]:
    """Each row's difference to the reference, paired by seed, with its interval where there are seeds."""
    about, scores = METRICS[metric], final_scores(results, metric)
    places = {row: place for place, row in enumerate(results)}
    rows = []
    for row, values in scores.items():
        apart = difference(values, scores.get(reference, {}))
        if row == reference or apart is None:
            continue
        half = apart.half_width if apart.count > 1 else 0.0
        low, middle, high = rounded((apart.mean - half, apart.mean, apart.mean + half))
        text = apart.interval(about.digits)
        line = Drawn(row, {}, places.get(row, places.get(row.removesuffix(", worst"))))
        rows.append(
            {"name": shown(row, 80), "low": low, "mean": middle, "high": high, "text": text}
            | {"colour": colour_of(line)}
        )
    better = {"high": "higher is better", "low": "lower is better"}.get(about.best, "nearer 0 is better")
    return {"id": f"interval-{index}", "title": f"{about.title} ({better})", "rows": rows}


def _over_rounds(results: Results, metric: str, index: int) -> dict[str, Any] | None:
    curves = {
        row: [_mean([_by_round(lines, metric) for lines in journals]) for journals in seeds.values()]
        for row, seeds in results.items()
    }
    drawn = _lines(curves)
    first = next(iter(next(iter(results.values())).values()))[0]
    bicubic = next((each.bicubic[metric] for each in evaluations(first) if metric in each.bicubic), None)
    places = sorted({place for line in drawn for place in line.values})
    if not places:
        return None
    if bicubic is not None:
        drawn.append(Drawn("bicubic", dict.fromkeys(places, bicubic), reference=True))
    about = METRICS[metric]
    title = f"{about.title}, mean of the held-out clips"
    return chart(f"curve-{index}", title, drawn, digits=about.digits)


def _over_cost(
    results: Results, metric: str, label: str, cost: Callable[[Line], float], index: int
) -> dict[str, Any] | None:
    """The mean over seeds against what it has cost so far; strategies alone, since bounds send nothing."""
    drawn: list[Drawn] = []
    places = {row: place for place, row in enumerate(results)}
    for row, seeds in results.items():
        if is_bound(row):
            continue
        curves = [_by_cost(lines, metric, cost) for journals in seeds.values() for lines in journals]
        length = min(map(len, curves))
        points = {
            statistics.fmean(curve[place][0] for curve in curves): [curve[place][1] for curve in curves]
            for place in range(length)
        }
        drawn.append(_of_seeds(row, points, places[row]))
    if not drawn:
        return None
    about = METRICS[metric]
    return chart(
        f"cost-{index}", f"{about.title} by {label}", drawn, digits=about.digits, over=label, whole=False
    )


def _lines(curves: Mapping[str, Sequence[Mapping[float, float]]]) -> list[Drawn]:
    drawn = []
    for index, (row, seeds) in enumerate(curves.items()):
        places = sorted(set.intersection(*(set(curve) for curve in seeds)))
        values = {place: [curve[place] for curve in seeds] for place in places}
        drawn.append(_of_seeds(row, values, index))
    return drawn


def _of_seeds(row: str, values: Mapping[float, Sequence[float]], index: int) -> Drawn:
    """The mean over seeds, in a band from the lowest to the highest where there are several."""
    many = {place: each for place, each in values.items() if len(each) > 1}
    return Drawn(
        row,
        {place: statistics.fmean(each) for place, each in values.items()},
        index,
        reference=is_bound(row),
        low={place: min(each) for place, each in many.items()},
        high={place: max(each) for place, each in many.items()},
    )


def _by_round(lines: Sequence[Line], metric: str) -> dict[float, float]:
    return {each.round: each.mean[metric] for each in evaluations(lines) if metric in each.mean}


def _by_cost(lines: Sequence[Line], metric: str, cost: Callable[[Line], float]) -> list[tuple[float, float]]:
    trained = trainings(lines)
    so_far = dict(zip([line["round"] for line in trained], accumulate(map(cost, trained)), strict=True))
    scored = _by_round(lines, metric)
    return [(so_far.get(int(at), 0.0), value) for at, value in scored.items()]


def _mean(curves: Sequence[Mapping[float, float]]) -> dict[float, float]:
    places = sorted(set.intersection(*(set(curve) for curve in curves)))
    return {place: statistics.fmean(curve[place] for curve in curves) for place in places}


def _pictures(crops: Mapping[str, Mapping[str, Frame]]) -> dict[str, Any] | None:
    if not crops:
        return None
    clips = dict(list(crops.items())[:_CLIPS])
    side = min(SIDE, *(size for frames in clips.values() for size in frames[TRUTH].shape[:2]))
    places = {clip: place_of_crop(frames, side) for clip, frames in clips.items()}
    models = list(dict.fromkeys(name for frames in clips.values() for name in frames))
    names = [BICUBIC, *(name for name in models if name not in (BICUBIC, TRUTH)), TRUTH]
    kinds = []
    for name in names:
        rows, scores = [], []
        for clip, frames in clips.items():
            row, column = places[clip]
            rows.append([frames[name][row : row + side, column : column + side]])
            score = float(psnr(frames[name], frames[TRUTH], channel="y")) if name != TRUTH else math.inf
            scores.append(f"PSNR-Y {score:.2f} dB" if math.isfinite(score) else "")
        picture = {"source": embedded(sheet(rows)), "columns": 1, "round": 0, "scores": scores}
        kinds.append({"name": shown(name, 80), "pictures": [picture]})
    return {
        "clips": [shown(clip, 80) for clip in clips],
        "frames": 1,
        "still": 0,
        "left": 0 if len(names) < 4 else 1,
        "right": 1 if len(names) < 4 else 2,
        "kinds": kinds,
    }
