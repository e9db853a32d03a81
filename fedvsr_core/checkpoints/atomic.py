"""Atomic writing of files: they exist completely or not at all, whatever happens meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedvsr_core.errors import StorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Say in a sentence what a disk makes impossible that is full, or may not be written to.

    Args:
        path: What the block writes.

    Raises:
        StorageError: If it can't.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"'{path}' can't be written: {error.strerror or error}; free its disk, let it be written to, or"
            " choose another folder",
            error.errno,
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old content or the new one, never a mixture.

    The bytes go to a hidden file in the same folder, which is then renamed. What a crash leaves of
    that hidden file is overwritten by the next attempt; a file has one writer at a time.

    Args:
        path: The file; its folder exists.
        content: All of it.

    Raises:
        StorageError: If the disk is full, or may not be written to; nothing is left of the attempt.
    """
    partial = path.with_name(f".{path.name}.partial")
    with storing(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()  # its room may be all that is left for a last word
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; only POSIX systems can be asked to."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
