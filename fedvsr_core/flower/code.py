"""A digest of the code that trains, so that nobody aggregates what other code made."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("client_app", "fedvsr_core")


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


def code_folders() -> list[Path]:
    """Where this process imports `PACKAGES` from."""
    specs = [find_spec(name) for name in PACKAGES]
    return [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]
