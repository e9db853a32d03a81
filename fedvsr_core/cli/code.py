"""``fedvsr code``: the digest of the code that trains, for a site to pin."""

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from zipfile import BadZipFile, ZipFile

import typer

from fedvsr_core.errors import DataError
from fedvsr_core.flower.code import PACKAGES, digest_of


def code(
    app: Annotated[
        Path, typer.Argument(help="Folder of an app, or a bundle that 'flwr build' has made.")
    ] = Path(),
) -> None:
    """Print the digest of the code that a site would run, to be pinned as 'code' in site.toml."""
    if app.is_dir():
        typer.echo(_digest(app, app))
        return
    try:
        with TemporaryDirectory() as folder, ZipFile(app) as bundle:
            bundle.extractall(folder)
            typer.echo(_digest(Path(folder), app))
    except (OSError, BadZipFile) as error:
        raise DataError(f"'{app}' must be the folder of an app or its bundle, but: {error}") from error
    typer.echo(f"bundle {sha256(app.read_bytes()).hexdigest()}", err=True)


def _digest(folder: Path, app: Path) -> str:
    missing = [name for name in PACKAGES if not (folder / name).is_dir()]
    if missing:
        raise DataError(f"'{app}' must hold the packages {' and '.join(PACKAGES)}, but lacks {missing}")
    return digest_of(folder / name for name in PACKAGES)
