"""``fedvsr compare``: strategies over seeds at equal budget, and what they show in one folder."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fedvsr import engine
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
from fedvsr.comparison.trials import Plan, Trial, by_strategy, trials_of
from fedvsr_core import devices
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.components import build, nearest
from fedvsr_core.errors import ConfigurationError, FederationError
from fedvsr_core.evaluation.held_out import HeldOut, protocol_of
from server_app.checkpoints import LAST
from server_app.config import compose, load, options
from server_app.records.crops import TRUTH, Frame, draw_rows
from server_app.records.journal import COMPLETED
from server_app.records.lock import locked
from server_app.records.markdown import duration, table

_POLL_S, _ASK_EVERY, _PATIENCE_S = 1.0, 30, 90
_PLAIN = re.compile(r"[\w ./+@%-]+", re.ASCII)
"""Paths that shell words, Hydra's overrides and Flower's TOML all leave as they are."""


def compare(
    strategies: Annotated[str, typer.Option(help="Names of conf/strategy, comma-separated.")],
    output: Annotated[Path, typer.Option(help="Folder for runs and results; an earlier one is continued.")],
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    experiment: Annotated[str, typer.Option(help="A name of conf/experiment.")] = "",
    model: Annotated[str, typer.Option(help="A name of conf/model.")] = "",
    data: Annotated[str, typer.Option(help="A name of conf/data.")] = "",
    overrides: Annotated[str, typer.Option(help="As for a run; the same for all.")] = "",
    clients: Annotated[int, typer.Option(min=1, help="Simulated clients.")] = 4,
    federation_config: Annotated[
        str, typer.Option(help="As for 'flwr run'.")
    ] = "client-resources-num-cpus=1",
    app: Annotated[Path, typer.Option(help="Folder of the app.")] = Path(),
) -> None:
    """Compare strategies: a run for each strategy and seed, then tables, curves and crops.

    A run that fails doesn't end the others; the command then ends with an error. Stopped, it is continued by
    the same command, also with more strategies or seeds; finished, the command writes the results anew.
    """
    choices = {"experiment": experiment, "model": model, "data": data}
    plan = Plan(_names(strategies), _seeds(seeds), choices, overrides, clients, federation_config)
    folder = output.expanduser().resolve()
    if not _PLAIN.fullmatch(str(folder)):
        raise ConfigurationError(
            "--output must be a path of letters, digits, blanks and ./_+@%- alone, since it travels in"
            f" Flower's run-config, got '{folder}'"
        )
    cells = list(trials_of(plan, folder))
    for cell in cells:  # refuses what is wrong before anything starts
        cell.check(compose(cell.words(plan)))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        plan.claim(folder, lambda cell: compose(cell.words(plan)))
        signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C: the run must not go on by itself
        try:
            _run(app, plan, [cell for cell in cells if cell.outcome != COMPLETED], done=len(cells))
        except KeyboardInterrupt:
            typer.echo("stopped; the same command continues")
            raise typer.Exit(130) from None
        failed = [cell for cell in cells if cell.outcome != COMPLETED]
        found = by_strategy(cells)
        if found:
            _write(plan, folder, found, failed)
            typer.echo(f"{folder / 'README.md'}")
    for cell in failed:
        typer.echo(f"failed: {cell.name}: {cell.outcome}", err=True)
    if failed:
        raise typer.Exit(1)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _names(strategies: str) -> tuple[str, ...]:
    names, known = tuple(dict.fromkeys(filter(None, strategies.split(",")))), options("strategy")
    if not names:
        raise ConfigurationError("--strategies must name at least one, such as fedavg,fedvsr")
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"there is no strategy '{unknown[0]}'{nearest(unknown[0], known)}")
    return names


def _seeds(seeds: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(seed) for seed in seeds.split(",")))
    except ValueError as error:
        raise ConfigurationError(f"--seeds must be whole numbers such as 0,1,2, got '{seeds}'") from error


def _run(app: Path, plan: Plan, cells: Sequence[Trial], *, done: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("cells", total=done, completed=done - len(cells))
        for cell in cells:
            began = time.monotonic()
            rounds = progress.add_task(cell.name, total=None)
            try:
                _run_cell(app, plan, cell, partial(_tell, progress, rounds))
            except FederationError as error:
                typer.echo(f"{cell.name}: {error}", err=True)
            progress.remove_task(rounds)
            progress.advance(bar)
            took = duration(time.monotonic() - began)
            typer.echo(f"{cell.name}: {cell.outcome}, {cell.rounds} rounds in {took}")


def _tell(progress: Progress, task: TaskID, done: int, of: int | None) -> None:
    progress.update(task, completed=done, total=of)


def _run_cell(app: Path, plan: Plan, cell: Trial, tell: Callable[[int, int | None], object]) -> None:
    _wait_until_free(cell)
    ends = sum(line["phase"] == "end" for line in cell.lines())
    run_id = engine.submit(
        app,
        run_config=cell.run_config(plan),
        federation_config=f"num-supernodes={plan.clients} {plan.federation}".strip(),
    )
    polls, watch = 0, engine.Watch(run_id)
    try:
        while True:
            lines = cell.lines()
            starts = [line for line in lines if line["phase"] == "start"]
            tell(cell.rounds, starts[-1]["rounds"] if starts else None)
            over = sum(line["phase"] == "end" for line in lines) > ends
            if (over or polls % _ASK_EVERY == 0) and (seen := watch.ended()):
                break
            polls += 1
            time.sleep(_POLL_S)
    except BaseException:  # the next cell must not run beside it
        engine.stop_run(run_id)
        raise
    if not cell.lines():
        why = seen.get("status-details") or seen["status"]
        raise FederationError(f"it ended before its journal began: {why}")


def _wait_until_free(cell: Trial) -> None:
    """A run that was stopped takes some seconds to let go of its directory."""
    end = time.monotonic() + _PATIENCE_S
    while run := cell.run():
        try:
            with run.locked():
                return
        except FederationError:
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_S)


def _write(plan: Plan, folder: Path, found: dict[str, list[Trial]], failed: Sequence[Trial]) -> None:
    runs: Runs = {name: {cell.seed: cell.lines() for cell in cells} for name, cells in found.items()}
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
    _draw(folder / "crops.png", found)
    start = next(line for line in next(iter(runs[next(iter(runs))].values())) if line["phase"] == "start")
    facts = [
        ("command", f"`{_command(plan)}`"),
        ("model, data", f"{start['model']}, {start['data']}"),
        ("clients, rounds", f"{start['clients']}, {start['rounds']}"),
        ("device", start["device"]),
        ("time", start["time"]),
        ("code", f"`{start['code']}`"),
        ("left out", ", ".join(cell.name for cell in failed) or "nothing"),
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


def _draw(path: Path, found: dict[str, list[Trial]]) -> None:
    """The same held-out crops by the first seed's model of every strategy."""
    rows: dict[str, dict[str, Frame]] = {}
    held_out = None
    for name, cells in found.items():
        run = cells[0].run()
        if run is None:
            continue
        settings = load(run.config)
        held_out = held_out or HeldOut(
            build(settings.data).held_out(),
            degradation=build(settings.degradation),
            chunk=settings.evaluation.chunk,
            device=devices.choose(),
            protocol=protocol_of(settings).on(settings.names["degradation"]),
        )
        for sample in held_out.samples(load_model(run.checkpoints / LAST)):
            row = rows.setdefault(sample.name, {TRUTH: sample.truth, "bicubic": sample.bicubic})
            row[name] = sample.ours
    draw_rows(list(rows.items()), path)
