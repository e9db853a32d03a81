"""A digest of the code that trains, so that nobody aggregates what other code made."""

import zlib
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from fedvsr_core.errors import DataError

PACKAGES = ("client_app", "fedvsr_core")
_LARGEST = 100_000_000
"""Bytes of an unpacked bundle."""


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Digest of the Python files of `PACKAGES` as this process imports them, 16 hexadecimal digits.

    Computed once per process: what was imported stays imported when files change.
    """
    return digest_of(code_folders())


def digest_of(folders: Iterable[Path]) -> str:
    """Digest of the Python files below some folders, by the folders' names."""
    digest = sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def digest_of_app(app: Path) -> str:
    """What `code_digest` would be where an app runs.

    Args:
        app: The folder of the app, or the bundle that ``flwr build`` makes of it.

    Raises:
        DataError: If it is neither, or lacks `PACKAGES`.
    """
    if app.is_dir():
        return _digest_in(app, app)
    try:
        with TemporaryDirectory() as folder, ZipFile(app) as bundle:
            if (size := sum(entry.file_size for entry in bundle.infolist())) > _LARGEST:
                raise DataError(
                    f"'{app}' would unpack to {size} bytes; Flower takes bundles of 10 MB at most"
                )
            bundle.extractall(folder)
            return _digest_in(Path(folder), app)
    except (OSError, BadZipFile, RuntimeError, NotImplementedError, ValueError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{app}' must be the folder of an app or its bundle, but: {error}") from error


def _digest_in(folder: Path, app: Path) -> str:
    if missing := [name for name in PACKAGES if not (folder / name).is_dir()]:
        raise DataError(f"'{app}' must be an app with the packages {' and '.join(PACKAGES)}, lacks {missing}")
    return digest_of(folder / name for name in PACKAGES)


def code_folders() -> list[Path]:
    """Where this process imports `PACKAGES` from."""
    specs = [find_spec(name) for name in PACKAGES]
    return [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]
