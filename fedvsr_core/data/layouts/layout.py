"""What all layouts share: shots made of entries, and all problems reported at once."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from fedvsr_core.data.layouts.entry import Entry, open_entry
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError

_log = logging.getLogger(__name__)


class Layout(ABC):
    """A dataset on disk; subclasses list its entries.

    Attributes:
        folder: Where it lies.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
        max_frames: Frames to take of each clip at most, from the start; None takes all.
        fps: Frames a second to take of video files; None takes every frame.
        title: What the layout is called.
        lenient: Whether clips that can't be used are left out with a warning, rather than refused.
    """

    title: ClassVar[str]
    lenient: ClassVar[bool] = False

    def __init__(
        self, folder: str, scale: int, *, max_frames: int | None = None, fps: float | None = None
    ) -> None:
        self.folder = Path(folder).expanduser()
        self.scale = scale
        self.max_frames = max_frames
        self.fps = fps

    @abstractmethod
    def entries(self) -> list[Entry]:
        """The clips of the dataset, in a fixed order.

        Raises:
            DataError: If the folder isn't laid out as expected.
        """

    def open(self, entry: Entry) -> list[Shot]:
        """The shots of an entry.

        Raises:
            DataError: If it can't be used.
        """
        return open_entry(
            entry, scale=self.scale, max_frames=self.max_frames, fps=self.fps, every=self.lenient
        )

    def train(self) -> list[Shot]:
        """Shots to divide among the clients.

        Raises:
            DataError: If clips can't be used; lists them all.
        """
        return self._open(entry for entry in self.entries() if not entry.held_out)

    def held_out(self) -> list[Shot]:
        """Shots that nobody trains on; raises as `train`."""
        return self._open(entry for entry in self.entries() if entry.held_out)

    def _open(self, entries: Iterable[Entry]) -> list[Shot]:
        shots: list[Shot] = []
        problems = []
        for entry in entries:
            try:
                shots += self.open(entry)
            except DataError as error:
                problems.append(str(error))
        if problems and (not self.lenient or not shots):
            shown = "".join(f"\n  - {problem}" for problem in problems[:10])
            raise DataError(
                f"{len(problems)} clips of '{self.folder}' can't be used; 'fedvsr data check' shows all of"
                f" them:{shown}"
            )
        for problem in problems:
            _log.warning("left out: %s", problem)
        return shots


def folders_in(folder: Path) -> list[Path]:
    """The folders directly inside a folder, by name.

    Raises:
        DataError: If there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}'")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def first_folder(candidates: Iterable[Path], what: str) -> Path:
    """The first of some folders that exists.

    Raises:
        DataError: If none does; names them all.
    """
    candidates = list(candidates)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    places = " or ".join(f"'{candidate}'" for candidate in candidates)
    raise DataError(f"expected {what} at {places}, found none")
