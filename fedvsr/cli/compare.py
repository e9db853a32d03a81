"""``fedvsr compare``: strategies over seeds at equal budget, and what they show in one folder."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fedvsr import engine
from fedvsr.comparison.entries import BOUNDS, entries_of
from fedvsr.comparison.results import write_results
from fedvsr.comparison.trials import Plan, Trial, trials_of
from fedvsr.comparison.tuning import Tuning
from fedvsr.endings import Ended, raised
from fedvsr.installed_app import app_folder
from fedvsr.stopping import end_run
from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError, FederationError
from fedvsr_core.settings import Settings
from server_app.config import compose, options
from server_app.records.history import ends, starts
from server_app.records.lock import locked
from server_app.records.markdown import duration

_POLL_S, _ASK_EVERY, _RELEASE_S = 1.0, 30, 90


def compare(
    strategies: Annotated[
        str,
        typer.Option(
            help="Names of conf/strategy, comma-separated; also the bounds 'centralised' (one client with all"
            " clips) and 'local' (each client by itself)."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for runs and results; an earlier one is continued.")],
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    experiment: Annotated[str, typer.Option(help="A name of conf/experiment.")] = "",
    model: Annotated[str, typer.Option(help="A name of conf/model.")] = "",
    data: Annotated[str, typer.Option(help="A name of conf/data.")] = "",
    overrides: Annotated[str, typer.Option(help="As for a run; the same for all.")] = "",
    variants: Annotated[
        str,
        typer.Option(
            help="Overrides that each strategy is trained with in turn, separated by ';', such as"
            " 'rounds=20 training.steps=10; rounds=5 training.steps=40'."
        ),
    ] = "",
    tune: Annotated[
        str,
        typer.Option(
            help="A key and values, such as 'optimiser.lr=5e-4,1e-3,2e-3': each strategy enters the tables"
            " with the one that is best for it on other seeds."
        ),
    ] = "",
    tune_seeds: Annotated[str, typer.Option(help="Those seeds, comma-separated.")] = "100,101",
    clients: Annotated[int, typer.Option(min=1, help="Simulated clients.")] = 4,
    federation_config: Annotated[
        str, typer.Option(help="As for 'flwr run'.")
    ] = "client-resources-num-cpus=1",
    app: Annotated[
        Path | None,
        typer.Option(help="Folder of the app; default: this folder, or else where fedvsr is installed."),
    ] = None,
) -> None:
    """Compare strategies: a run for each strategy and seed, then tables, curves and crops.

    A run that fails doesn't end the others; the command then ends with an error. Stopped, it is continued by
    the same command, also with more strategies or seeds; finished, the command writes the results anew.
    """
    choices = {"experiment": experiment, "model": model, "data": data}
    plan = Plan(
        strategies=_names(strategies),
        seeds=_seeds(seeds, "--seeds"),
        choices=choices,
        overrides=overrides,
        clients=clients,
        federation=federation_config,
        variants=tuple(filter(None, map(str.strip, variants.split(";")))),
        tune=tune,
        tune_seeds=_seeds(tune_seeds, "--tune-seeds") if tune else (),
    )
    folder = output.expanduser().resolve()

    def composed(trial: Trial) -> Settings:
        settings = compose(trial.words(plan))
        trial.check(settings)
        return settings

    typer.echo(
        f"{', '.join(plan.strategies)}, seeds {seeds}: trained one after another by {clients} clients, in"
        f" '{folder}'; stopped, the same command continues"
    )
    entries = entries_of(
        plan.strategies, plan.variants, clients, lambda entry: composed(Trial(entry, 0, folder))
    )
    tuning = Tuning.of(tune, plan.tune_seeds, plan.seeds) if tune else None
    tried = tuning.trials(entries, folder / "tuning") if tuning else []
    for trial in (*tried, *trials_of(entries, plan.seeds, folder / "trials")):
        composed(trial)  # refuses what is wrong before anything starts
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        plan.claim(folder, entries, composed)
        try:
            with raised():
                app = app or app_folder()
                _run(app, plan, "tuning", tried)
                if tuning:
                    entries = tuning.applied(entries, tried, plan.reference)
                trials = list(trials_of(entries, plan.seeds, folder / "trials"))
                tuned = (tuning, tried) if tuning else None
                _run(app, plan, "trials", trials, partial(_show, plan, folder, trials, tuned))
        except Ended as ended:
            with suppress(OSError):
                typer.echo("stopped; the same command continues")
            raise typer.Exit(ended.status) from None
        if any(trial.completed and not trial.entry.bound for trial in trials):
            write_results(plan, folder, trials, tuned)
            typer.echo(f"{folder / 'README.md'}")
    failed = [trial for trial in (*tried, *trials) if not trial.completed]
    for trial in failed:
        typer.echo(f"failed: {trial.name}: {trial.outcome}", err=True)
    if failed:
        raise typer.Exit(1)


def _names(strategies: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, strategies.split(","))))
    known = [*options("strategy"), *BOUNDS]
    if not names:
        raise ConfigurationError("--strategies must name at least one, such as fedavg,fedvsr")
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"there is no strategy '{unknown[0]}'{nearest(unknown[0], known)}")
    if not set(names) - set(BOUNDS):
        raise ConfigurationError(f"--strategies must name a strategy beside {', '.join(names)}, as fedavg")
    return names


def _seeds(seeds: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(seed) for seed in seeds.split(",")))
    except ValueError as error:
        raise ConfigurationError(f"{option} must be whole numbers such as 0,1,2, got '{seeds}'") from error


def _show(
    plan: Plan, folder: Path, trials: Sequence[Trial], tuned: tuple[Tuning, Sequence[Trial]] | None, left: int
) -> None:
    """Write the page of what there is, while trials are still to come."""
    if left and any(trial.completed and not trial.entry.bound for trial in trials):
        with suppress(FederationError):  # what isn't equal is said at the end, when all of it is known
            write_results(plan, folder, trials, tuned, left=left)


def _run(
    app: Path,
    plan: Plan,
    title: str,
    trials: Sequence[Trial],
    then: Callable[[int], object] = lambda left: None,
) -> None:
    """Run those that aren't completed yet, and after each tell how many are left."""
    left = [trial for trial in trials if not trial.completed]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task(title, total=len(trials), completed=len(trials) - len(left))
        for place, trial in enumerate(left, 1):
            began = time.monotonic()
            rounds = progress.add_task(trial.name, total=None)
            try:
                _run_trial(app, plan, trial, partial(_tell, progress, rounds))
            except FederationError as error:
                typer.echo(f"{trial.name}: {error}", err=True)
            progress.remove_task(rounds)
            progress.advance(bar)
            took = duration(time.monotonic() - began)
            typer.echo(f"{trial.name}: {trial.outcome}, {trial.rounds} rounds in {took}")
            then(len(left) - place)


def _tell(progress: Progress, task: TaskID, done: int, of: int | None) -> None:
    progress.update(task, completed=done, total=of)


def _run_trial(app: Path, plan: Plan, trial: Trial, tell: Callable[[int, int | None], object]) -> None:
    _wait_until_free(trial)
    ended_before = ends(trial.lines())
    run_id, polls = "", 0
    try:
        run_id = engine.submit(
            app,
            run_config=trial.run_config(plan),
            federation_config=trial.federation_config(plan),
        )
        watch = engine.Watch(run_id)
        while True:
            lines = trial.lines()
            attempts = starts(lines)
            tell(trial.rounds, attempts[-1]["rounds"] if attempts else None)
            if (ends(lines) > ended_before or polls % _ASK_EVERY == 0) and (seen := watch.ended()):
                break
            polls += 1
            time.sleep(_POLL_S)
    except BaseException as error:  # the next trial must not run at the same time
        why = repr(error)
        if isinstance(error, Ended):
            run_id, why = run_id or error.run_id, f"stopped by {error.number.name}"
        if run_id:
            run = trial.run()
            end_run(run_id, "", str(run.path) if run else "", why)
        raise
    if not trial.lines():
        why = seen.get("status-details") or seen["status"]
        raise FederationError(f"it ended before its journal began: {why}")


def _wait_until_free(trial: Trial) -> None:
    """A run that was stopped takes some seconds to let go of its directory."""
    end = time.monotonic() + _RELEASE_S
    while run := trial.run():
        try:
            with run.locked():
                return
        except FederationError:
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_S)
