"""The folder of a comparison, written from its completed trials: tables, curves, crops and a page."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedvsr.comparison.budget import check_equal
from fedvsr.comparison.curves import plot_curves
from fedvsr.comparison.entries import Entry
from fedvsr.comparison.own_clips import own_table
from fedvsr.comparison.page import comparison_page
from fedvsr.comparison.tables import (
    Results,
    Runs,
    as_csv,
    as_latex,
    as_markdown,
    metrics_of,
    overhead_table,
    score_table,
)
from fedvsr.comparison.trials import Plan, Trial, completed
from fedvsr.comparison.tuning import Tuning
from fedvsr_core import devices
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.components import build
from fedvsr_core.evaluation.held_out import build_held_out
from server_app.checkpoints import LAST
from server_app.config import load
from server_app.records.crops import BICUBIC, TRUTH, Frame, draw_rows
from server_app.records.history import starts
from server_app.records.journal import Line
from server_app.records.markdown import table

Journals = Mapping[Entry, Mapping[int, Sequence[Line]]]
"""Of completed trials: by entry, by seed."""

_ABOUT_BOUNDS = (
    "Bounds: *centralised* is one client with all clips, as many steps, batches as large as those of all"
    " clients of a round, and moments kept; *local* is each client by itself with its moments kept, the mean"
    " and the worst of their models."
)


def write_results(
    plan: Plan,
    folder: Path,
    trials: Sequence[Trial],
    tuned: tuple[Tuning, Sequence[Trial]] | None = None,
    *,
    left: int = 0,
) -> None:
    """Write tables, curves, crops and a page that shows them, for trials of equal budget.

    While trials are still to come it is the page alone, without crops: these take the models some time.

    Args:
        plan: What is compared.
        folder: Where; it exists.
        trials: All of them; at least one is completed.
        tuned: What was tuned, and its trials.
        left: How many trials are still to come.

    Raises:
        FederationError: As `check_equal`.
    """
    done, failed = completed(trials), [trial for trial in trials if not (left or trial.completed)]
    journals = {
        entry: {seed: trial.lines() for seed, trial in seeds.items()} for entry, seeds in done.items()
    }
    runs: Runs = {entry.row: seeds for entry, seeds in journals.items() if not entry.bound}
    for variant in {entry.variant for entry in done}:
        for seed in plan.seeds:
            alike = {
                f"{entry.name}, seed {seed}": seeds[seed]
                for entry, seeds in journals.items()
                if entry.variant == variant and not entry.bound and seed in seeds
            }
            if alike:
                check_equal(alike)
    results = _by_row(trials, journals)
    metrics = metrics_of(results)
    scores, own = score_table(results, plan.reference), own_table(results, plan.reference)
    overhead = overhead_table(runs, plan.reference)
    about_bounds = _ABOUT_BOUNDS if any(entry.bound for entry in done) else ""
    first = next(trial for entry, seeds in done.items() if not entry.bound for trial in seeds.values())
    shown = {entry.row: next(iter(seeds.values())) for entry, seeds in done.items() if not entry.alone}
    crops = {} if left else _crops(shown)
    start = starts(first.lines())[0]
    facts = [
        ("command", f"`{_command(plan)}`"),
        ("model, data", f"{start['model']}, {start['data']}"),
        ("clients", start["clients"]),
        ("rounds", start["rounds"] if len(plan.variants) < 2 else "as the rows say"),
        ("device", start["device"]),
        ("time", start["time"]),
        ("code", f"`{start['code']}`"),
        ("left out", ", ".join(trial.name for trial in failed) or "nothing"),
        *([("tuning", tuned[0].cost(tuned[1]))] if tuned else []),
    ]
    content = comparison_page(
        results,
        metrics=metrics,
        scores=scores,
        own=own,
        overhead=overhead,
        reference=plan.reference,
        facts=[(name, str(value).strip("`")) for name, value in facts if name != "command"],
        command=_command(plan),
        crops=crops,
        title=f"Comparison of {', '.join(plan.strategies)}",
        about_bounds=about_bounds,
        tuning=tuned[0].table(tuned[1]) if tuned else None,
        left=left,
    )
    write_atomically(folder / "report.html", content)
    if left:
        return
    tables = {"scores": scores, "overhead": overhead, **({"own-clips": own} if own else {})}
    for name, rows in tables.items():
        for suffix, form in (("md", as_markdown), ("csv", as_csv), ("tex", as_latex)):
            write_atomically(folder / f"{name}.{suffix}", form(rows).encode())
    for metric in metrics:
        plot_curves(runs, metric, [folder / f"{metric}.png", folder / f"{metric}.svg"])
    draw_rows(list(crops.items()), folder / "crops.png")
    text = [
        "# Comparison",
        "",
        *table(["", ""], facts),
        "",
        "Equal budget, checked in the journals: at each seed all strategies started from the same weights,"
        " drew the same clients, and each client trained on the same batches for as many steps.",
        "",
        "## Scores of the final models",
        "",
        "Mean ± standard deviation over seeds; differences are paired by seed, with the 95 % interval of"
        " Student's t. Bold: better than every other strategy by a difference whose interval leaves out 0.",
        *(("", about_bounds) if about_bounds else ()),
        "",
        as_markdown(scores),
        *(("## On the clients' own held-out clips", "", as_markdown(own)) if own else ()),
        *(f"![{metric}]({metric}.svg)\n" for metric in metrics),
        "## What a round costs",
        "",
        f"Medians of this comparison; in brackets above {plan.reference}.",
        "",
        as_markdown(overhead),
        *(_about_tuning(*tuned) if tuned else ()),
        "![crops](crops.png)",
        "",
    ]
    write_atomically(folder / "README.md", "\n".join(text).encode())


def _by_row(trials: Sequence[Trial], journals: Journals) -> Results:
    """The journals by row and seed, where all entries of the row have one."""
    results: dict[str, dict[int, list[Sequence[Line]]]] = {}
    for row in dict.fromkeys(trial.entry.row for trial in trials):
        entries = list(dict.fromkeys(trial.entry for trial in trials if trial.entry.row == row))
        for seed in dict.fromkeys(trial.seed for trial in trials):
            if all(seed in journals.get(entry, {}) for entry in entries):
                results.setdefault(row, {})[seed] = [journals[entry][seed] for entry in entries]
    return results


def _about_tuning(tuning: Tuning, trials: Sequence[Trial]) -> list[str]:
    seeds = ",".join(map(str, tuning.seeds))
    return [
        f"## Tuning of {tuning.key}",
        "",
        f"Final scores on --tune-seeds {seeds}, which the tables above don't use. In bold the best mean, with"
        " which a strategy enters them; local training takes the reference's.",
        "",
        as_markdown(tuning.table(trials)),
    ]


def _command(plan: Plan) -> str:
    listed = {
        "strategies": plan.strategies,
        "seeds": plan.seeds,
        "tune-seeds": plan.tune_seeds if plan.tune else (),
    }
    texts = {
        **{name: ",".join(map(str, values)) for name, values in listed.items()},
        **plan.choices,
        "overrides": plan.overrides,
        "tune": plan.tune,
        "variants": "; ".join(plan.variants),
        "clients": str(plan.clients),
        "federation-config": plan.federation,
    }
    options = (word for name, text in texts.items() if text for word in (f"--{name}", text))
    return shlex.join(["fedvsr", "compare", *options]) + " --output ..."


def _crops(trials: Mapping[str, Trial]) -> dict[str, dict[str, Frame]]:
    """The same held-out frames by the first seed's model of every row: by clip, by who made them."""
    rows: dict[str, dict[str, Frame]] = {}
    held_out = None
    for name, trial in trials.items():
        run = trial.run()
        if run is None:
            continue
        settings = load(run.config)
        held_out = held_out or build_held_out(settings, build(settings.data).held_out(), devices.choose())
        for sample in held_out.samples(load_model(run.checkpoints / LAST)):
            row = rows.setdefault(sample.name, {TRUTH: sample.truth, BICUBIC: sample.bicubic})
            row[name] = sample.ours
    return rows
