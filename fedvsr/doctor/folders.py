"""The folders of a site: videos that are sound and can't be written to, and others that can."""

import getpass
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from fedvsr.data.check import check_all
from fedvsr.doctor.finding import Finding, ok, problem, warning
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.errors import DataError

_SCALE = 4
_LEAST_FREE_GB = 1.0


def check_data_folder(path: Path, low: Path | None = None, *, key: str = "data-dir") -> Iterator[Finding]:
    """What a folder of videos holds, by the headers of its files, and whether anyone here could change it.

    Args:
        path: The folder, or a clip store.
        low: The folder of its low-resolution recordings, if it has some.
        key: What the node's configuration calls it.
    """
    yield _check_videos(path, low, key)
    if path.is_dir() and os.access(path, os.W_OK):
        yield warning(
            f"{key} '{path}' can be written to by '{getpass.getuser()}'",
            "let the SuperNode run as a user who can't, or mount it read-only, as the unit of 'fedvsr deploy'"
            " does",
        )


def _check_videos(path: Path, low: Path | None, key: str) -> Finding:
    closer = f"look closer with 'fedvsr data check {path}{f' --low {low}' if low else ''}'"
    if not path.is_dir():
        return problem(f"{key} '{path}' isn't a folder", "name the folder of videos, or mount it")
    if not os.access(path, os.R_OK | os.X_OK):
        return problem(
            f"{key} '{path}' can't be read by '{getpass.getuser()}'", "let that user read it, and no more"
        )
    try:
        layout = detect(str(path), str(low) if low else None, scale=_SCALE)
        if not isinstance(layout, Layout):
            wrong, count = layout.problems(), len([*layout.train(), *layout.held_out()])
        else:
            findings = list(check_all(layout, quick=True))
            wrong = [f"clip '{finding.name}': {text}" for finding in findings for text in finding.problems]
            count = len(findings)
    except DataError as error:
        return problem(f"{key} '{path}': {error}", closer)
    if wrong:
        return warning(f"{key} '{path}': {count} clips, {len(wrong)} problems, such as {wrong[0]}", closer)
    return ok(f"{key} '{path}': {count} clips of {layout.title}, sound by their headers")


def check_writable_folder(path: Path, key: str) -> Finding:
    """A folder that the node writes to, or would make.

    Args:
        path: The folder; needn't exist yet.
        key: What the configuration calls it.
    """
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return problem(
            f"{key} '{path}' can't be written to by '{getpass.getuser()}'", f"give '{there}' to that user"
        )
    free_gb = shutil.disk_usage(there).free / 1e9
    if free_gb < _LEAST_FREE_GB:
        return problem(f"{key} '{path}' has {free_gb:.2f} GB of free disk", "free space on its disk")
    return ok(f"{key} '{path}' has {free_gb:.0f} GB of free disk")
