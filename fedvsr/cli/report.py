"""``fedvsr report``: the page, the plots and the summary of a run, once more."""

from pathlib import Path
from typing import Annotated

import typer

from server_app.records.report import write_report
from server_app.records.run_dir import RunDir


def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Write page, plots and summary of a run that was killed before it could, or is still going on."""
    directory = RunDir.open(str(run.resolve()))
    write_report(directory, running=directory.is_locked())
    typer.echo(directory.summary)
    typer.echo(directory.page)
