"""Real recordings of the same scenes in both resolutions, in two folders."""

import logging
from pathlib import Path

from fedvsr_core.components import Count
from fedvsr_core.data.alignment import align
from fedvsr_core.data.images import some
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.data.layouts.videos import find_videos
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError

_log = logging.getLogger(__name__)


class Pairs(Layout):
    """Clips of two folders, each a video file or a folder of images, matched by their paths in them.

    ``high/a/1.mp4`` belongs to ``low/a/1.avi``, or to a folder of images ``low/a/1``. Frames match by number.
    What has no partner, or one that doesn't fit or shows something else (`fedvsr_core.data.alignment`), is
    left out with a warning.

    Attributes:
        folder: Folder with the high-resolution recordings, searched with all folders under it.
        low_folder: The same with the low-resolution ones.
        max_frames: Frames taken of each clip at most, from its start.
        scale: Factor from low to high resolution.
    """

    title = "pairs of recordings"
    lenient = True

    def __init__(self, *, folder: str, low_folder: str, max_frames: Count | None, scale: Count) -> None:
        super().__init__(folder, scale, max_frames=max_frames)
        self.low_folder = Path(low_folder).expanduser()

    def entries(self) -> list[Entry]:
        """The clips that have a partner, in the natural order of their paths.

        Raises:
            DataError: If a folder is missing, two clips of one have one name, or none has a partner.
        """
        highs, lows = _by_name(self.folder), _by_name(self.low_folder)
        if alone := [*(highs.keys() - lows.keys()), *(lows.keys() - highs.keys())]:
            _log.warning(
                "left out, since only one of '%s' and '%s' has it: %s",
                self.folder,
                self.low_folder,
                some(alone),
            )
        entries = [Entry(name, high, lows[name]) for name, high in highs.items() if name in lows]
        if not entries:
            raise DataError(
                f"expected clips by the same names under '{self.folder}' and '{self.low_folder}', found"
                f" {some([*highs]) if highs else 'none'} and {some([*lows]) if lows else 'none'}"
            )
        return entries

    def open(self, entry: Entry) -> list[Shot]:
        """Its shots, if both recordings show the same; raises DataError."""
        shots = super().open(entry)
        for shot in shots:
            if shot.low is not None:
                for note in align(shot.high, shot.low).check(shot.name):
                    _log.warning("clip '%s': %s", shot.name, note)
        return shots


def _by_name(folder: Path) -> dict[str, Path]:
    """Clips by their path in a folder, without the suffix of files."""
    named: dict[str, Path] = {}
    for path in find_videos(folder):
        inner = path.relative_to(folder)
        name = (inner.with_suffix("") if path.is_file() else inner).as_posix()
        if name in named:
            raise DataError(f"'{named[name]}' and '{path}' have one name; rename one of them")
        named[name] = path
    return named
