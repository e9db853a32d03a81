"""Sets to test on, a folder of frames a clip: Vid4, UDM10, SPMCS and others of their kind."""

from pathlib import Path

from fedvsr_core.components import Count
from fedvsr_core.data.images import IMAGE_SUFFIXES, visible_files
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.data.layouts.layout import Layout, folders_in
from fedvsr_core.errors import DataError

TRUTHS = ("GT", "truth", "original", "HR", "hr", "gt")
"""Names under which sets keep their high-resolution frames."""
VID4 = {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}
"""Frames of each clip of Vid4 (Liu & Sun, CVPR 2011)."""


class Benchmark(Layout):
    """Clips that are all held out, in any of three usual arrangements.

    ``GT/<clip>/0000.png`` with the low-resolution frames in ``<low>/<clip>``; or ``<clip>/truth/0000.png``
    with them in ``<clip>/<low>``; or ``<clip>/0000.png`` alone. ``GT`` may also be one of `TRUTHS`.

    Attributes:
        folder: Folder that holds the set.
        low: Name of the low-resolution folder, such as ``BIx4`` or ``blur4``; None has them made.
        clips: Frames of each clip that the set is known to have; None takes what is there.
        scale: Factor from low to high resolution.
    """

    title = "a set to test on"

    def __init__(self, *, folder: str, low: str | None, clips: dict[str, Count] | None, scale: Count) -> None:
        super().__init__(folder, scale)
        self.low = low
        self.clips = clips

    def entries(self) -> list[Entry]:
        """The clips, by name.

        Raises:
            DataError: If there are none, or one that is known to belong to the set is missing.
        """
        truth = next((self.folder / name for name in TRUTHS if (self.folder / name).is_dir()), None)
        entries = [entry for clip in folders_in(truth or self.folder) if (entry := self._entry(clip, truth))]
        names = {entry.name for entry in entries}
        if missing := sorted(set(self.clips or {}) - names):
            raise DataError(f"expected the clips {', '.join(missing)} in '{self.folder}', found none of them")
        if not entries:
            raise DataError(f"expected folders of frames in '{self.folder}', found none")
        return [entry for entry in entries if self.clips is None or entry.name in self.clips]

    def _entry(self, clip: Path, truth: Path | None) -> Entry | None:
        high, low = clip, None
        if truth is None:
            high = next((clip / name for name in TRUTHS if (clip / name).is_dir()), clip)
        if self.low is not None:
            low = clip / self.low if truth is None else self.folder / self.low / clip.name
        if not visible_files(high, IMAGE_SUFFIXES):
            return None
        return Entry(clip.name, high, low, held_out=True, frames=(self.clips or {}).get(clip.name))
