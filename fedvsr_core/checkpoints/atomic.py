"""Atomic writing of files: they exist completely or not at all, whatever happens meanwhile."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old content or the new one, never a mixture.

    The bytes go to a hidden file in the same folder, which is then renamed. What a crash leaves of
    that hidden file is overwritten by the next attempt; a file has one writer at a time.

    Args:
        path: The file; its folder exists.
        content: All of it.
    """
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; only POSIX systems can be asked to."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
