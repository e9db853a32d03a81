"""The folder of a comparison, written from its completed trials: tables, curves, crops and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedvsr.comparison.budget import check_equal
from fedvsr.comparison.curves import plot_curves
from fedvsr.comparison.tables import (
    Runs,
    as_csv,
    as_latex,
    as_markdown,
    metrics_of,
    overhead_table,
    score_table,
)
from fedvsr.comparison.trials import Plan, Trial
from fedvsr_core import devices
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.components import build
from fedvsr_core.evaluation.held_out import build_held_out
from server_app.checkpoints import LAST
from server_app.config import load
from server_app.records.crops import TRUTH, Frame, draw_rows
from server_app.records.history import starts
from server_app.records.markdown import table


def write_results(
    plan: Plan, folder: Path, completed: Mapping[str, Sequence[Trial]], failed: Sequence[Trial]
) -> None:
    """Write tables, curves, crops and a page that shows them, for trials of equal budget.

    Args:
        plan: What is compared.
        folder: Where; it exists.
        completed: Completed trials by strategy; at least one.
        failed: The others.

    Raises:
        FederationError: As `check_equal`.
    """
    runs: Runs = {name: {trial.seed: trial.lines() for trial in trials} for name, trials in completed.items()}
    for seed in plan.seeds:
        journals = {f"{name}, seed {seed}": seeds[seed] for name, seeds in runs.items() if seed in seeds}
        if journals:
            check_equal(journals)
    metrics = metrics_of(runs)
    scores, overhead = score_table(runs, plan.reference), overhead_table(runs, plan.reference)
    for name, rows in (("scores", scores), ("overhead", overhead)):
        for suffix, form in (("md", as_markdown), ("csv", as_csv), ("tex", as_latex)):
            write_atomically(folder / f"{name}.{suffix}", form(rows).encode())
    for metric in metrics:
        plot_curves(runs, metric, [folder / f"{metric}.png", folder / f"{metric}.svg"])
    _draw(folder / "crops.png", completed)
    first = next(iter(completed.values()))[0]
    start = starts(first.lines())[0]
    facts = [
        ("command", f"`{_command(plan)}`"),
        ("model, data", f"{start['model']}, {start['data']}"),
        ("clients, rounds", f"{start['clients']}, {start['rounds']}"),
        ("device", start["device"]),
        ("time", start["time"]),
        ("code", f"`{start['code']}`"),
        ("left out", ", ".join(trial.name for trial in failed) or "nothing"),
    ]
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
        "Mean ± standard deviation over seeds; differences are paired by seed. Bold: better than every other,"
        " with a 95 % interval of the paired difference that leaves out 0.",
        "",
        as_markdown(scores),
        *(f"![{metric}]({metric}.svg)\n" for metric in metrics),
        "## What a round costs",
        "",
        f"Medians of this comparison; in brackets above {plan.reference}.",
        "",
        as_markdown(overhead),
        "![crops](crops.png)",
        "",
    ]
    write_atomically(folder / "README.md", "\n".join(text).encode())


def _command(plan: Plan) -> str:
    chosen = " ".join(f"--{key} {value}" for key, value in plan.choices.items() if value)
    overrides = f"--overrides '{plan.overrides}'" if plan.overrides else ""
    words = (
        f"fedvsr compare --strategies {','.join(plan.strategies)} --seeds {','.join(map(str, plan.seeds))}",
        chosen,
        overrides,
        f"--clients {plan.clients} --federation-config '{plan.federation}' --output ...",
    )
    return " ".join(filter(None, words))


def _draw(path: Path, completed: Mapping[str, Sequence[Trial]]) -> None:
    """The same held-out crops by the first seed's model of every strategy."""
    rows: dict[str, dict[str, Frame]] = {}
    held_out = None
    for name, trials in completed.items():
        run = trials[0].run()
        if run is None:
            continue
        settings = load(run.config)
        held_out = held_out or build_held_out(settings, build(settings.data).held_out(), devices.choose())
        for sample in held_out.samples(load_model(run.checkpoints / LAST)):
            row = rows.setdefault(sample.name, {TRUTH: sample.truth, "bicubic": sample.bicubic})
            row[name] = sample.ours
    draw_rows(list(rows.items()), path)
