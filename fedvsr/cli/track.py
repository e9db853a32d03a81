"""``fedvsr track``: a finished run in a tracker."""

from pathlib import Path
from typing import Annotated

import typer

from fedvsr_core.components import nearest
from fedvsr_core.errors import CheckpointError, ConfigurationError
from server_app.records.history import starts
from server_app.records.journal import read_checked
from server_app.records.run_dir import RunDir
from server_app.tracking.follower import tell
from server_app.tracking.trackers import PACKAGES, check_installed, tracker


def track(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    to: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(PACKAGES)}.")],
) -> None:
    """Write a run's scores, losses, weights, costs and crops to trackers, from its journal."""
    names = tuple(dict.fromkeys(filter(None, to.split(","))))
    if unknown := [name for name in names if name not in PACKAGES]:
        raise ConfigurationError(f"there is no tracker '{unknown[0]}'{nearest(unknown[0], PACKAGES)}")
    if not names:
        raise ConfigurationError(f"--to must name a tracker: {', '.join(PACKAGES)}")
    check_installed(names)
    directory = RunDir.open(str(run.resolve()))
    lines = read_checked(directory.journal)
    if not starts(lines):
        raise CheckpointError(f"'{directory.journal}' has no start; it isn't of a run that began")
    for name in names:
        tracked = tracker(name, directory, starts(lines)[0])
        for line in lines:
            tell(tracked, directory, line)
        tracked.finish()
        typer.echo(f"{name}: {len(lines)} lines of {directory.path}")
