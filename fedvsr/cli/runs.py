"""``fedvsr runs``: what has become of the runs of this machine."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from fedvsr.runs import RunState, runs_in
from fedvsr_core.errors import DataError
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import Evaluation
from server_app.records.markdown import signed
from server_app.records.run_dir import run_root

_BESIDE = 64
"""Columns that the rest of the table needs."""
_REASON = 100
"""Characters of a reason that a table has room for; ``--json`` has all of it."""


def runs(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of runs; default: FEDVSR_RUNS, else ~/fedvsr-runs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all details.")] = False,
) -> None:
    """List runs: state, rounds done, best score with its protocol, and why a run stopped."""
    root = folder.expanduser() if folder else run_root()
    if not root.is_dir():
        raise DataError(f"there is no folder of runs '{root}'; name another, or start a run")
    states = runs_in(root)
    if as_json:
        typer.echo(json.dumps([_facts(run) for run in states], indent=2))
        return
    longest = max((len(run.path.name) for run in states), default=0)
    whole = [Column(name, no_wrap=True) for name in ("run", "state", "rounds")]
    table = Table(*whole, "best score", "protocol")  # the last two are wrapped where there is little room
    for run in states:
        state = f"{run.state}, resumable" if run.resumable else run.state
        rounds = f"{run.done}/{run.rounds or '?'}"
        score, protocol = (_score(run.best), _protocol(run.best)) if run.best else ("", "")
        table.add_row(escape(run.path.name), state, rounds, score, escape(protocol))
    # A name is there to be copied: where it doesn't fit, the table is wider than the terminal.
    Console(width=max(Console().width, longest + _BESIDE)).print(table)
    for run in states:
        if run.reason:
            typer.echo(f"{run.path.name}: {run.reason:.{_REASON}}")
    resumable = [run.path for run in states if run.resumable]
    if resumable:
        typer.echo(f"to resume: {shlex.join(['fedvsr', 'run', '--resume', str(resumable[-1].absolute())])}")


def _score(best: Evaluation) -> str:
    about = METRICS[best.headline]
    gain = signed(best.gain())
    against = f", {gain} against bicubic" if gain else ""
    return f"{about.label} {about.value(best.mean[best.headline])}{against} (round {best.round})"


def _protocol(best: Evaluation) -> str:
    return str(best.protocol.get("name", ""))


def _facts(run: RunState) -> dict[str, Any]:
    best = None
    if run.best:
        best = {
            "round": run.best.round,
            "metric": run.best.headline,
            "score": run.best.mean[run.best.headline],
            "bicubic": run.best.bicubic.get(run.best.headline),
            "protocol": dict(run.best.protocol),
        }
    return {**vars(run), "path": str(run.path.absolute()), "best": best}
