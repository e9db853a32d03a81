"""The page of a comparison: tables, curves with the bounds, and crops to slide between strategies."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fedvsr.comparison.entries import is_bound
from fedvsr.comparison.tables import Results, Rows
from fedvsr_core.metrics.names import METRICS
from server_app.page.charts import Line as Drawn
from server_app.page.charts import chart
from server_app.page.pictures import embedded
from server_app.page.rendering import page, shown
from server_app.records.crop_series import SIDE, sheet
from server_app.records.crops import BICUBIC, TRUTH, Frame, place_of_crop
from server_app.records.history import evaluations, trainings
from server_app.records.journal import Line

_CLIPS = 4
_PARTS = {
    "quality": "Scores",
    "curves": "Curves",
    "crops": "Before and after",
    "costs": "Costs",
    "repeat": "What ran",
}
_SCORES = (
    "Mean \u00b1 standard deviation over seeds; differences are paired by seed, with the 95 % interval of"
    " Student's t. Between ** stands what is better than every other strategy by a difference whose interval"
    " leaves out 0."
)
_CURVES = (
    "A line is the mean over seeds, its band goes from the lowest to the highest seed. Bounds (centralised,"
    " local) are dashed, as bicubic is."
)
_CROPS = "Where the strategies differ most on some held-out clips, by the first seed's final models."
_COSTS: Mapping[str, Callable[[Line], float]] = {
    "MB sent, both ways": lambda line: (line["bytes-up"] + line["bytes-down"]) / 1e6,
    "Seconds of training rounds": lambda line: float(line["seconds"]),
}


def comparison_page(
    results: Results,
    *,
    metrics: Sequence[str],
    scores: Rows,
    own: Rows | None,
    overhead: Rows,
    facts: Sequence[tuple[str, object]],
    command: str,
    crops: Mapping[str, Mapping[str, Frame]],
    title: str = "Comparison",
) -> bytes:
    """Make the page.

    Args:
        results: Journals of completed trials by row and seed.
        metrics: Their metrics, the headline first.
        scores: The table of scores.
        own: That of the clients' own clips, if they scored any.
        overhead: That of costs.
        facts: What ran.
        command: That started it.
        crops: Whole frames by clip and by who made them.
        title: Of the page.

    Returns:
        HTML, as UTF-8.
    """
    curves = [_over_rounds(results, metric, index) for index, metric in enumerate(metrics)]
    curves += [
        _over_cost(results, metrics[0], label, cost, index)
        for index, (label, cost) in enumerate(_COSTS.items())
    ]
    pictures = _pictures(crops)
    return page(
        "comparison",
        data={"charts": [each for each in curves if each], "grid": None, "crops": pictures},
        title=title,
        state=f"{len(results)} rows, {max(map(len, results.values()))} seeds",
        mood="",
        can_reload=False,
        parts=[(name, heading) for name, heading in _PARTS.items() if name != "crops" or pictures],
        figures=_figures(scores),
        footer="Made from the journals of the completed trials; this file holds all that it shows.",
        scores_note=_SCORES,
        score_header=scores[0],
        score_rows=scores[1],
        own_header=own[0] if own else [],
        own_rows=own[1] if own else [],
        curves_note=_CURVES,
        curves=[each for each in curves if each],
        with_crops=pictures is not None,
        crops_note=_CROPS,
        cost_header=overhead[0],
        cost_rows=overhead[1],
        command=shown(command, 2000),
        facts=[(name, shown(value, 2000)) for name, value in facts],
    )


def _figures(scores: Rows) -> list[tuple[str, str]]:
    """The headline's mean of each row, the best ones first as the table has them."""
    header, rows = scores
    return [(f"{row[0]}, {header[2]}", row[2].strip("*")) for row in rows[:6]]


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
    for row, seeds in results.items():
        if is_bound(row):
            continue
        curves = [_by_cost(lines, metric, cost) for journals in seeds.values() for lines in journals]
        length = min(map(len, curves))
        points = {
            statistics.fmean(curve[place][0] for curve in curves): statistics.fmean(
                curve[place][1] for curve in curves
            )
            for place in range(length)
        }
        drawn.append(Drawn(row, points, len(drawn)))
    if not drawn:
        return None
    about = METRICS[metric]
    return chart(
        f"cost-{index}", f"{about.title} by cost", drawn, digits=about.digits, over=label, whole=False
    )


def _lines(curves: Mapping[str, Sequence[Mapping[float, float]]]) -> list[Drawn]:
    drawn = []
    for index, (row, seeds) in enumerate(curves.items()):
        places = sorted(set.intersection(*(set(curve) for curve in seeds)))
        values = {place: [curve[place] for curve in seeds] for place in places}
        many = len(seeds) > 1
        drawn.append(
            Drawn(
                row,
                {place: statistics.fmean(each) for place, each in values.items()},
                index,
                reference=is_bound(row),
                low={place: min(each) for place, each in values.items()} if many else {},
                high={place: max(each) for place, each in values.items()} if many else {},
            )
        )
    return drawn


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
        rows = []
        for clip, frames in clips.items():
            row, column = places[clip]
            rows.append([frames[name][row : row + side, column : column + side]])
        kinds.append(
            {
                "name": shown(name, 80),
                "pictures": [{"source": embedded(sheet(rows)), "columns": 1, "round": 0, "scores": []}],
            }
        )
    return {
        "clips": [shown(clip, 80) for clip in clips],
        "frames": 1,
        "still": 0,
        "left": 0 if len(names) < 4 else 1,
        "right": 1 if len(names) < 4 else 2,
        "kinds": kinds,
    }
