"""The page of a run, written from its journal: scores, crops, clients, losses, weights, costs, what ran."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fedvsr_core.errors import CheckpointError
from fedvsr_core.metrics.names import METRICS
from server_app.page.grid import grid
from server_app.page.pictures import crops_of
from server_app.page.rendering import page, shown
from server_app.page.run_charts import cost_charts, loss_charts, score_charts, weight_charts
from server_app.records.history import (
    Evaluation,
    best_evaluation,
    evaluations,
    measured,
    outcome,
    rounds_done,
    seconds_left,
    seconds_spent,
    starts,
    trainings,
)
from server_app.records.journal import COMPLETED, Line
from server_app.records.markdown import duration, ranges, signed
from server_app.records.refusals import refusals
from server_app.records.run_dir import RunDir

ROWS = 40
"""Of a table of rounds; longer runs are thinned out."""
_MOST_REFUSED = 24
_LONGEST_CONFIGURATION = 40_000
_PARTS = {
    "quality": "Quality",
    "crops": "Before and after",
    "clients": "Clients",
    "training": "Losses",
    "weights": "Weights",
    "costs": "Costs",
    "repeat": "What ran",
}
_WEIGHTS = (
    "A client's weight is its share of the new model. FedVSR gives clients with a smaller loss more: the"
    " Hellinger distance says how far those weights are from equal ones (0: equal, 1: apart), and the mixing"
    " is the share of them that counts; the rest are equal weights. It falls to 0 towards the last round."
)
_EQUAL = "A client's weight is its share of the new model; a gap means that it took no part in the round."
_COSTS = (
    "Bytes and seconds of the rounds of training as the server measured them; memory is the most that any"
    " process of the kind has had so far."
)
_CROPS = (
    "The part with most detail of some held-out clips, which no client trains on. Move over a picture, or"
    " move the first slider; the second one goes through the rounds. Left and right can be chosen."
)


def run_page(lines: Sequence[Line], run: RunDir, *, running: bool, now: str = "", live: str = "") -> bytes:
    """Make the page of a run, finished or not.

    Args:
        lines: Its journal, checked.
        run: Its directory, for crops and configuration.
        running: Whether it is going on.
        now: When that was so.
        live: As `server_app.page.rendering.page`.

    Returns:
        HTML, as UTF-8.
    """
    scored, start = evaluations(lines), _newest(lines, "start")
    crops = _crops(run, scored)
    shape = grid(lines)
    scores, losses = score_charts(lines, scored), loss_charts(lines)
    weights, costs = weight_charts(lines), cost_charts(lines)
    ended = outcome(lines)
    state, mood = _state(ended, now, running=running)
    names = [shown(start[key], 60) for key in ("strategy", "model") if key in start]
    absent = {"crops"} if crops is None else set()
    return page(
        "run",
        live=live,
        data={"charts": [*scores, *losses, *weights, *costs], "grid": shape, "crops": crops},
        title=f"{', '.join(names) or 'Federated run'}: {_rounds(lines, start)}",
        state=state,
        mood=mood,
        can_reload=running and not live,
        parts=[(name, heading) for name, heading in _PARTS.items() if name not in absent],
        figures=_figures(lines, scored, running=running),
        footer=f"Made from {run.journal.name} of the run {run.path.name}; this file holds all that it shows.",
        protocol=_protocol(scored),
        scores=scores,
        **_score_tables(scored, best_evaluation(lines)),
        with_crops=crops is not None,
        crops_note=_CROPS,
        grid_note=_grid_note(shape),
        refused_rows=_refused(lines),
        **_own_table(lines),
        losses=losses,
        weights=weights,
        weights_note=_WEIGHTS if any(line.get("hellinger") is not None for line in lines) else _EQUAL,
        costs=costs,
        costs_note=_COSTS,
        command=shown(start.get("command", ""), 2000),
        facts=_facts(lines, start),
        configuration=_configuration(run),
    )


def _state(ended: str | None, now: str, *, running: bool) -> tuple[str, str]:
    if running:
        return f"Running{now and f', as of {now}'}", ""
    if ended == COMPLETED:
        return "Completed", "good"
    return (f"Stopped: {shown(ended, 1000)}", "bad") if ended else ("Killed: it left no last word", "bad")


def _rounds(lines: Sequence[Line], start: Line) -> str:
    asked = start.get("rounds")
    return f"{rounds_done(lines)} of {asked} rounds" if asked else f"{rounds_done(lines)} rounds"


def _figures(lines: Sequence[Line], scored: Sequence[Evaluation], *, running: bool) -> list[tuple[str, str]]:
    figures = []
    best = best_evaluation(lines)
    if scored:
        last = scored[-1]
        about = METRICS[last.headline]
        unit = f" {about.unit}" if about.unit else ""
        figures += [
            (f"{about.label} above bicubic, round {last.round}", (signed(last.gain()) or "unknown") + unit),
            (f"{about.label}, round {last.round}", about.value(last.mean.get(last.headline, math.nan))),
        ]
        if best:
            value = about.value(best.mean.get(best.headline, math.nan))
            figures.append((f"Best {about.label}, round {best.round}", value))
    trained, start = trainings(lines), _newest(lines, "start")
    figures.append(("Training and scoring", duration(seconds_spent(lines))))
    if running and (left := seconds_left(lines)):
        figures.append(("Left, about", duration(left)))
    if trained:
        refused = sum(len(line["refused"]) for line in trained)
        figures += [
            ("Clients", str(start.get("clients") or len(trained[-1]["clients"]))),
            ("Replies left out", str(refused)),
            ("Sent, both ways", _megabytes(sum(_bytes(line) for line in trained))),
        ]
    return figures


def _score_tables(scored: Sequence[Evaluation], best: Evaluation | None) -> dict[str, Any]:
    if not scored:
        return {"score_header": [], "score_rows": [], "clip_header": [], "clip_rows": []}
    last, names = scored[-1], measured(scored)
    about = METRICS[last.headline]
    step = max(1, math.ceil(len(scored) / ROWS))
    rounds = [each for place, each in enumerate(scored) if place % step == 0 or each in (last, best)]
    rows = [("bicubic", "", *(_score(last.bicubic, name) for name in names))]
    rows += [
        (f"round {each.round}", signed(each.gain()), *(_score(each.mean, name) for name in names))
        for each in rounds
    ]
    return {
        "score_header": ["", "gain", *(METRICS[name].title for name in names)],
        "score_rows": rows,
        "clip_header": ["Clip", "gain", f"bicubic {about.title}", about.title],
        "clip_rows": [
            (
                shown(clip, 80),
                signed(last.clip_gain(clip)),
                _score(last.bicubic_clips.get(clip, {}), last.headline),
                _score(scores, last.headline),
            )
            for clip, scores in last.clips.items()
        ],
    }


def _own_table(lines: Sequence[Line]) -> dict[str, Any]:
    scored = evaluations(lines, "evaluate-clients")
    if not scored:
        return {"own_caption": "", "own_header": [], "own_rows": []}
    last, line = scored[-1], _newest(lines, "evaluate-clients")
    return {
        "own_caption": f"The clients' own held-out clips, round {last.round}",
        "own_header": ["Client", "clips", "frames", METRICS[last.headline].title],
        "own_rows": [
            (shown(row["client"], 64), row["clips"], row["frames"], _score(row, last.headline))
            for row in line["clients"]
        ],
    }


def _refused(lines: Sequence[Line]) -> list[tuple[object, ...]]:
    return [
        (
            shown(refused.client, 64),
            shown(refused.code, 40),
            len(refused.rounds),
            shown(ranges(refused.rounds), 40),
            shown(refused.reason),
        )
        for refused in refusals(lines)[:_MOST_REFUSED]
    ]


def _facts(lines: Sequence[Line], start: Line) -> list[tuple[str, str]]:
    labels = {
        "time": "Started (UTC)",
        "seed": "Seed",
        "data": "Data",
        "parameters": "Parameters of the model",
        "clients": "Clients",
        "device": "Server's device",
        "commit": "Commit",
        "code": "Digest of the code",
    }
    facts = [(label, shown(start[key])) for key, label in labels.items() if start.get(key) is not None]
    versions = {name: number for name, number in (start.get("versions") or {}).items() if number}
    if versions:
        facts.append(
            ("Versions", shown(", ".join(f"{name} {number}" for name, number in versions.items()), 1000))
        )
    resumed = [str(line["resumed-after"]) for line in starts(lines) if line.get("resumed-after") is not None]
    if resumed:
        facts.append(("Resumed after round", shown(", ".join(resumed))))
    return facts


def _configuration(run: RunDir) -> str:
    if not run.config.is_file():
        return ""
    return run.config.read_text("utf-8", "backslashreplace")[:_LONGEST_CONFIGURATION]


def _crops(run: RunDir, scored: Sequence[Evaluation]) -> dict[str, Any] | None:
    try:
        return crops_of(run.crop_series, scored)
    except (CheckpointError, OSError):  # what is damaged there leaves the rest of the page as it is
        return None


def _protocol(scored: Sequence[Evaluation]) -> str:
    if not scored:
        return "No round has been scored yet."
    known = scored[-1].protocol
    by = f" by the protocol {shown(known['name'], 60)}" if known.get("name") else ""
    return f"The global model on held-out video that no client trains on{by}, against bicubic interpolation."


def _grid_note(shape: Mapping[str, Any] | None) -> str:
    if shape is None:
        return "No round has been trained yet."
    notes = ["A row is a client, a column a round of training."]
    if shape["step"] > 1:
        notes.append(f"One of {shape['step']} rounds is here; journal.jsonl has all.")
    if shape["left"]:
        notes.append(f"{shape['left']} more clients are in journal.jsonl alone.")
    return " ".join(notes)


def _bytes(line: Line) -> float:
    return float(line.get("bytes-up", 0)) + float(line.get("bytes-down", 0))


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"


def _score(scores: Mapping[str, Any], metric: str) -> str:
    return "" if scores.get(metric) is None else f"{float(scores[metric]):.{METRICS[metric].digits}f}"


def _newest(lines: Sequence[Line], phase: str) -> Line:
    return next((line for line in reversed(lines) if line["phase"] == phase), {})
