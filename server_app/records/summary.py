"""A run in one page of Markdown, written from its journal."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence

from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.protocol import Protocol
from server_app.checkpoints import BEST, LAST
from server_app.records.history import (
    Evaluation,
    best_evaluation,
    evaluations,
    measured,
    outcome,
    reports,
    rounds_done,
    trainings,
)
from server_app.records.journal import Line
from server_app.records.markdown import duration, harmless, number, ranges, signed, table
from server_app.records.privacy import privacy
from server_app.records.refusals import persistent_offenders, refusals
from server_app.records.run_dir import RunDir
from server_app.records.secure import secure

ROWS = 30  # of the table of rounds; longer runs are thinned out

_FACTS = {
    "command": "Command",
    "seed": "Seed",
    "strategy": "Strategy",
    "model": "Model",
    "parameters": "Parameters",
    "data": "Data",
    "clients": "Clients",
    "rounds": "Rounds asked for",
    "device": "Server's device",
    "commit": "Commit",
    "code": "Digest of the code",
}
_LITERAL = ("command", "commit", "code")


def summary(lines: Sequence[Line], run: RunDir) -> str:
    """Write up a run, finished or not.

    Args:
        lines: Its journal.
        run: Its directory, for the paths and the list of files.

    Returns:
        Markdown.
    """
    sections = [
        _title(lines),
        _facts(lines),
        _scores(lines),
        _clients_scores(lines),
        _rounds(lines),
        privacy(lines),
        secure(lines),
        _refused(lines),
        _rolled_back(lines),
        _files(run),
        _next(lines, run),
        _words(),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _title(lines: Sequence[Line]) -> list[str]:
    start = _last(lines, "start")
    phases = ("train", "evaluate", "evaluate-clients")
    seconds = sum(line["seconds"] for line in lines if line["phase"] in phases)
    scoring = sum(line["seconds"] for line in lines if line["phase"] in phases[1:])
    ended = outcome(lines) or "no end on record: running or killed"
    name = " ".join(str(start[key]) for key in ("strategy", "model") if key in start)
    return [
        f"# {name or 'Federated run'}: {rounds_done(lines)} rounds",
        "",
        f"Outcome: **{harmless(ended)}**. Training and evaluation took {duration(seconds)}."
        f" Of these, evaluation took {duration(scoring)}.",
    ]


def _facts(lines: Sequence[Line]) -> list[str]:
    start = _last(lines, "start")
    rows = [
        (label, f"`{start[key]}`" if key in _LITERAL else start[key])
        for key, label in _FACTS.items()
        if start.get(key) is not None
    ]
    if versions := start.get("versions"):
        rows.append(
            ("Versions", ", ".join(f"{name} {number}" for name, number in versions.items() if number))
        )
    resumed = [str(line["resumed-after"]) for line in lines if line.get("resumed-after") is not None]
    if resumed:
        rows.append(("Resumed after round", ", ".join(resumed)))
    return ["## What ran", "", *table(["", ""], rows)]


def _scores(lines: Sequence[Line]) -> list[str]:
    scored, best = evaluations(lines), best_evaluation(lines)
    if not scored or best is None:
        return ["## Scores on held-out video", "", "No round was scored."]
    last = scored[-1]
    metric = METRICS[last.headline]
    unit = f" ({metric.unit})" if metric.unit else ""
    names = measured(scored)
    shown = {"bicubic": None, f"best (round {best.round})": best, f"final (round {last.round})": last}
    rows = []
    for label, evaluation in shown.items():
        scores = evaluation.mean if evaluation else last.bicubic
        gain = signed(evaluation.gain()) if evaluation else ""
        rows.append((label, gain, *(_score(scores, name) for name in names)))
    clips = [
        (
            clip,
            signed(last.clip_gain(clip)),
            _score(last.bicubic_clips.get(clip, {}), last.headline),
            _score(scores, last.headline),
        )
        for clip, scores in last.clips.items()
    ]
    return [
        "## Scores on held-out video",
        "",
        f"The final model's mean {metric.label} against bicubic:"
        f" **{signed(last.gain()) or 'unknown'}**{f' {metric.unit}' if metric.unit else ''}.",
        *_protocol(last),
        "",
        *table(
            ["Mean of the clips", f"{metric.label} gain{unit}", *(METRICS[name].title for name in names)],
            rows,
        ),
        "",
        *table(
            ["Clip, final model", f"{metric.label} gain{unit}", f"bicubic {metric.title}", metric.title],
            clips,
        ),
    ]


def _protocol(scored: Evaluation) -> list[str]:
    try:
        return ["", f"Protocol {Protocol(**scored.protocol)}."] if scored.protocol else []
    except (TypeError, ValueError):  # of another version
        return ["", harmless(f"Protocol {scored.protocol}.")]


def _clients_scores(lines: Sequence[Line]) -> list[str]:
    scored = evaluations(lines, "evaluate-clients")
    if not scored:
        return []
    last, line = scored[-1], _last(lines, "evaluate-clients")
    rows = [
        (row["client"], row["clips"], row["frames"], _score(row, last.headline), number(row["seconds"], 1))
        for row in line["clients"]
    ]
    about = METRICS[last.headline]
    score, bicubic = (about.value(mean.get(last.headline, math.nan)) for mean in (last.mean, last.bicubic))
    return [
        "## Scores on the clients' own held-out video",
        "",
        f"Round {last.round}: {about.label} **{score}**, bicubic {bicubic}; exact mean over"
        f" {line['clips']} clips of {len(rows)} clients.",
        "",
        *table(["Client", "clips", "frames", about.title, "seconds"], rows),
    ]


def _rounds(lines: Sequence[Line]) -> list[str]:
    scores = {scored.round: scored for scored in evaluations(lines)}
    trained = {line["round"]: line for line in trainings(lines)}
    numbers = sorted(scores.keys() | trained.keys())
    best = best_evaluation(lines)
    metric = METRICS[best.headline if best else "psnr-y"]
    shown = _thinned(numbers, keep={best.round} if best else set())
    header = [
        "Round",
        metric.title,
        f"gain ({metric.unit})" if metric.unit else "gain",
        "mean loss",
        "clients",
        "refused",
        "Hellinger",
        "mixing",
        "seconds",
    ]
    rows = [(number, *_row(scores.get(number), trained.get(number, {}))) for number in shown]
    note = (
        []
        if len(shown) == len(numbers)
        else ["", f"{len(shown)} of {len(numbers)} rounds; `journal.jsonl` has all."]
    )
    return ["## Rounds", "", *table(header, rows), *note] if rows else []


def _row(scored: Evaluation | None, trained: Line) -> Iterator[str]:
    clients = trained.get("clients", [])
    told = reports(trained) if trained else []
    yield _score(scored.mean, scored.headline) if scored else ""
    yield signed(scored.gain()) if scored else ""
    yield f"{sum(float(client['loss']) for client in told) / len(told):.5f}" if told else ""
    yield f"{len(clients)}{' (model kept)' if trained.get('kept-model') else ''}" if trained else ""
    yield str(len(trained["refused"])) if trained else ""
    yield number(trained.get("hellinger"), 4)
    yield number(trained.get("mixing"), 3)
    yield number(trained.get("seconds"), 1)


def _refused(lines: Sequence[Line]) -> list[str]:
    rows = [
        (refused.client, refused.code, len(refused.rounds), ranges(refused.rounds), refused.reason)
        for refused in refusals(lines)
    ]
    if not rows:
        return []
    offenders = persistent_offenders(lines)
    warning = [f"Refused in most rounds, look at these sites first: **{', '.join(offenders)}**.", ""]
    header = ["Client", "Code", "Times", "Rounds", "Last reason"]
    return ["## Replies left out", "", *(warning if offenders else []), *table(header, rows)]


def _rolled_back(lines: Sequence[Line]) -> list[str]:
    rows = [
        (line["round"], line["to"], number(line["fell"], 2), ", ".join(line["against"]) or "nobody")
        for line in lines
        if line["phase"] == "roll-back"
    ]
    if not rows:
        return []
    return [
        "## Models given up",
        "",
        "Their score had fallen far below the best (`screening.roll_back`); the best was gone back to.",
        "",
        *table(["After round", "back to round", "fallen by", "against the others pointed"], rows),
    ]


def _files(run: RunDir) -> list[str]:
    notes = {
        run.config: "the resolved configuration",
        run.provenance: "versions, commit, device, command",
        run.journal: "a line per phase and round",
        run.log: "what the server said",
        run.page: "all of this to look at, in a browser",
        run.psnr_plot: "scores against rounds",
        run.losses_plot: "training loss of the clients",
        run.weights_plot: "weight of each client in the average",
        run.crops: "held-out crops: bicubic, ours, ground truth",
        run.checkpoints / LAST: "after the newest round; where to resume",
        run.checkpoints / BEST: "after the round with the highest score",
    }
    rows = [(f"`{path.relative_to(run.path)}`", note) for path, note in notes.items() if path.exists()]
    rounds = sorted(run.checkpoints.glob("round-*.safetensors"))
    rows += [(f"`{path.relative_to(run.path)}`", "after a single round") for path in rounds]
    return ["## Files", "", f"In `{run.path}`:", "", *table(["File", "What it is"], rows)]


def _next(lines: Sequence[Line], run: RunDir) -> list[str]:
    best = run.checkpoints / BEST
    weights = best if best.exists() else run.checkpoints / LAST
    upscale = shlex.join(["fedvsr", "upscale", "in.mp4", "out.mp4", "--checkpoint", str(weights)])
    resume = shlex.join(["fedvsr", "run", "--resume", str(run.path)])
    on = ["", "Go on after the last checkpoint:", "", "```bash", resume, "```"]
    if _last(lines, "end").get("outcome") == "completed":
        on = []
    return [
        "## What next",
        "",
        "Upscale a video with the result:",
        "",
        "```bash",
        upscale,
        "```",
        *on,
    ]


def _words() -> list[str]:
    return [
        "## Words",
        "",
        "- *Round*: clients train the model that the server sends; the server combines what comes back.",
        "- *Held-out* clips are scored on; no client trains on them. *Bicubic*: upscaling without a network.",
        "- *PSNR* is closeness to the ground truth in dB, *-Y* of brightness alone. More is better.",
        "- *Left out*: failed a check, and doesn't count. *Weight*: a reply's share of the mean.",
    ]


def _thinned(numbers: Sequence[int], keep: set[int]) -> list[int]:
    """At most about `ROWS` of the rounds, evenly spaced, with the first, the last and those to keep."""
    if len(numbers) <= ROWS:
        return list(numbers)
    step = (len(numbers) - 1) / (ROWS - 1)
    return sorted({numbers[round(index * step)] for index in range(ROWS)} | keep)


def _last(lines: Sequence[Line], phase: str) -> Line:
    return next((line for line in reversed(lines) if line["phase"] == phase), {})


def _score(scores: Mapping[str, float], metric: str) -> str:
    return number(scores.get(metric), METRICS[metric].digits)
