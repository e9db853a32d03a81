"""One process at a time writes in a folder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedvsr_core.checkpoints.atomic import storing
from fedvsr_core.errors import FederationError

_LOCK = ".lock"
_POLL_S = 1.0


@contextmanager
def locked(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Keep every other process from writing in a folder.

    The lock belongs to the process: the system takes it back when the process dies, however it dies.

    Args:
        folder: It exists.
        wait_s: How long another process may still have it: one that Flower has given up lives on until it
            hears of that.

    Raises:
        FederationError: If another process is writing there.
        StorageError: If the folder may not be written to, or its disk is full.
    """
    end = time.monotonic() + max(wait_s, _POLL_S)  # whoever looks holds the lock for a moment
    with storing(folder):
        lock = (folder / _LOCK).open("a+")
    with lock as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    file.seek(0)
                    raise FederationError(
                        f"'{folder}' is being written by process {file.read() or 'unknown'};"
                        " wait until it ends or choose another folder"
                    ) from error
            time.sleep(_POLL_S)
        with storing(folder):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process is writing in a folder."""
    if not (folder / _LOCK).exists():
        return False
    with (folder / _LOCK).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def writer(folder: Path) -> int | None:
    """The process that is writing in a folder, None if there is none."""
    if not is_locked(folder):
        return None
    number = (folder / _LOCK).read_text()
    return int(number) if number.isdecimal() else None
