"""``fedvsr publish``: a run's model in a folder as model hubs expect it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fedvsr.publishing.folder import publish as write_folder
from server_app.checkpoints import BEST, LAST
from server_app.records.run_dir import RunDir


def publish(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    folder: Annotated[Path, typer.Argument(help="What to write; empty or missing.")],
    which: Annotated[Literal["best", "last"], typer.Option(help="Which of its models.")] = "best",
    licence: Annotated[
        str, typer.Option(help="Of the weights, as an identifier that model hubs know, such as cc-by-4.0.")
    ] = "other",
    medical: Annotated[bool, typer.Option("--medical", help="The videos are medical: say so.")] = False,
    crops: Annotated[
        bool | None,
        typer.Option("--crops/--no-crops", help="Show held-out crops; default: unless medical."),
    ] = None,
) -> None:
    """Write weights, configuration, model card, crops and checksums; load back with --checkpoint FOLDER."""
    directory = RunDir.open(str(run.resolve()))
    weights = BEST if which == "best" else LAST
    for path in write_folder(
        directory, folder, weights=weights, licence=licence, medical=medical, crops=crops
    ):
        typer.echo(path)
