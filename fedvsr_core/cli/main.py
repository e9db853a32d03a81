"""The command ``fedvsr``."""

from typing import Any

import click
import typer
from typer.core import TyperGroup

from fedvsr_core.cli import data, deploy
from fedvsr_core.cli.compare import compare
from fedvsr_core.cli.doctor import doctor
from fedvsr_core.cli.evaluate import evaluate
from fedvsr_core.cli.federation import run, stop
from fedvsr_core.cli.import_checkpoint import import_checkpoint
from fedvsr_core.cli.report import report
from fedvsr_core.cli.runs import runs
from fedvsr_core.cli.upscale import upscale
from fedvsr_core.errors import FedVSRError


class _Group(TyperGroup):
    """Shows our own errors as the sentence they are, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (as in click)
        try:
            return super().invoke(ctx)
        except FedVSRError as error:
            raise click.ClickException(str(error)) from error


app = typer.Typer(
    cls=_Group, help="Train video super-resolution models together, and use them.", no_args_is_help=True
)
app.command()(run)
app.command()(stop)
app.command()(runs)
app.command()(doctor)
app.command()(compare)
app.command()(report)
app.command()(upscale)
app.command()(evaluate)
app.command()(import_checkpoint)
app.add_typer(data.app, name="data")
app.add_typer(deploy.app, name="deploy")

if __name__ == "__main__":
    app()
