"""A site's own record: a file of one JSON object a line, which is only ever appended to.

A record is on the disk when `AuditLog.append` returns. A file that has grown to `LARGEST` bytes is set aside
under the time at which that happens; nothing is ever deleted.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedvsr_core.checkpoints.atomic import sync_folder
from fedvsr_core.errors import AuditError

LARGEST = 10 * 2**20
_NAME = "audit.jsonl"


class AuditLog:
    """The log of a site; several processes may append to it.

    Args:
        folder: Where it lies; made if it doesn't exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record, with the time (UTC) before all else.

        Args:
            record: JSON-able values.

        Raises:
            AuditError: If it can't be written; then nothing of it is.
        """
        now = datetime.now(UTC)
        line = json.dumps({"time": now.isoformat(timespec="milliseconds"), **record}).encode() + b"\n"
        try:
            with self._locked():
                _append(self._folder / _NAME, line)
                self._rotate(now)
                sync_folder(self._folder)
        except OSError as error:
            raise AuditError(
                f"the record of what is asked and sent must be written to '{self._folder}', but:"
                f" {error.strerror}; nothing is sent without it: make room, or let the SuperNode write there"
            ) from error

    def since(self, earliest: datetime) -> Iterator[dict[str, Any]]:
        """The records from a time on, the newest first.

        Args:
            earliest: With a time zone.

        Raises:
            AuditError: If the log can't be read, or a line of it is damaged.
        """
        try:
            with self._locked():
                paths = [*sorted(self._folder.glob("audit-*.jsonl")), self._folder / _NAME]
                for path in reversed([path for path in paths if path.exists()]):
                    for number, line in reversed(list(enumerate(path.read_bytes().splitlines(), start=1))):
                        record = _read(line, f"line {number} of '{path}'")
                        if datetime.fromisoformat(record["time"]) < earliest:
                            return
                        yield record
        except OSError as error:
            raise AuditError(f"the record in '{self._folder}' can't be read: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _rotate(self, now: datetime) -> None:
        path = self._folder / _NAME
        if path.exists() and path.stat().st_size >= LARGEST:
            path.rename(self._folder / f"audit-{now:%Y%m%dT%H%M%S.%f}.jsonl")


def _append(path: Path, line: bytes) -> None:
    """Write a whole line, or nothing; what a crash has left of one is cut off, as nothing was sent then."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        begin = max(size - LARGEST, 0)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            size = begin + os.pread(descriptor, size - begin, begin).rfind(b"\n") + 1
            os.ftruncate(descriptor, size)
        try:
            if (written := os.write(descriptor, line)) != len(line):
                raise OSError(28, f"{written} of {len(line)} bytes were written")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _read(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        datetime.fromisoformat(record["time"])
    except (ValueError, TypeError, KeyError) as error:
        raise AuditError(f"{where} must be a record with its time; move the file away") from error
    return dict(record)
