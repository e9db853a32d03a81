"""``fedvsr run`` and ``fedvsr stop``: a federation, from submitting it to its end."""

import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fedvsr import engine
from fedvsr.installed_app import app_folder
from fedvsr_core.errors import REFUSED
from server_app.records.run_dir import ANNOUNCED

_OURS = re.compile(r"\d\d:\d\d:\d\d  (?P<words>.*)")
"""A line of our log. What clients say stands further to the right."""


@dataclass
class Listener:
    """Shows a run's log, and remembers what decides whether it can be continued.

    Attributes:
        run_dir: The run directory, once the log has named it.
        refused: Whether the server has ended the run itself, with a reason.
    """

    run_dir: str = ""
    refused: bool = False

    def hear(self, line: str) -> None:
        """Take a line of the log."""
        sys.stdout.write(line)
        sys.stdout.flush()
        said = _OURS.fullmatch(line.rstrip("\n"))
        if said and said["words"].startswith(ANNOUNCED):
            self.run_dir = said["words"].removeprefix(ANNOUNCED)
        self.refused = self.refused or bool(said and said["words"].startswith(REFUSED))


def run(
    app: Annotated[
        Path | None,
        typer.Argument(help="Folder of the app; default: this folder, or else where fedvsr is installed."),
    ] = None,
    superlink: Annotated[
        str, typer.Argument(help="Connection in Flower's config.toml; empty: this machine.")
    ] = "",
    run_config: Annotated[str, typer.Option("--run-config", "-c", help="As for 'flwr run'.")] = "",
    clients: Annotated[int | None, typer.Option(help="Simulated clients; Flower's default is 2.")] = None,
    federation_config: Annotated[str, typer.Option(help="As for 'flwr run'.")] = "",
    resumes: Annotated[
        int, typer.Option(min=0, help="How often a run that crashed is continued after its last round.")
    ] = 0,
) -> None:
    """Run a federation, show its log, and return 0 only if it completed ('flwr run' always returns 0)."""
    size = f"num-supernodes={clients} " if clients else ""
    folder = app or app_folder()
    for resumed in range(resumes + 1):
        run_id = engine.submit(
            folder, run_config=run_config, federation_config=size + federation_config, superlink=superlink
        )
        listener = Listener()
        seen = engine.follow(run_id, superlink, listener.hear)
        typer.echo(f"run {run_id}: {seen['status']} {seen.get('status-details') or ''}".rstrip())
        if seen["status"] == "finished:completed":
            return
        if seen["status"] == "finished:stopped" or listener.refused or resumed == resumes:
            break
        if listener.run_dir:
            run_config = f"overrides={json.dumps(shlex.join([f'run.resume={listener.run_dir}']))}"
        where = listener.run_dir or "it had no run directory yet"
        typer.echo(
            f"run {run_id} crashed; it is continued, {resumed + 1} of at most {resumes} times ({where})"
        )
    raise typer.Exit(1)


def stop() -> None:
    """Stop Flower's local engine, which 'flwr run' leaves running, and whatever runs in it."""
    stopped = engine.stop_engine()
    typer.echo(
        f"stopped the engine (process {', '.join(map(str, stopped))})" if stopped else "no engine is running"
    )
