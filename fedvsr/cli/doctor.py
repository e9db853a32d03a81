"""``fedvsr doctor``: what is wrong with this machine, and what to do about it."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from fedvsr.doctor.examine import examine


def doctor(
    path: Annotated[
        Path | None, typer.Argument(help="site.toml, or the server's folder; nothing: this machine alone.")
    ] = None,
) -> None:
    """Look at a site, the server or this machine, a line for each check; returns 1 if there is a problem.

    Nothing is changed, and no node goes online. Run it as the user who runs the processes.
    """
    seen: Counter[str] = Counter()
    for finding in examine(path):
        seen[finding.state] += 1
        typer.echo(f"{finding.state:8}{finding.what}")
        if finding.remedy:
            typer.echo(f"{'':8}-> {finding.remedy}")
    typer.echo(f"{seen['ok']} ok, {seen['warning']} warnings, {seen['problem']} problems")
    if seen["problem"]:
        raise typer.Exit(1)
