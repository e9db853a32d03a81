"""``fedvsr code``: the digest of the code that trains, for a site to pin."""

from pathlib import Path
from typing import Annotated

import typer

from fedvsr_core.flower.code import digest_of_app


def code(
    app: Annotated[
        Path, typer.Argument(help="Folder of an app, or the bundle that 'flwr build' makes.")
    ] = Path(),
) -> None:
    """Print the digest of the code that a site would run, to be pinned as 'code' in site.toml."""
    typer.echo(digest_of_app(app))
