"""Your own data: every video file or folder of frames under one folder is a clip."""

import os
from pathlib import Path

from fedvsr_core.components import Count
from fedvsr_core.data.images import VIDEO_SUFFIXES, holds_frames, natural_key, visible_files
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.errors import DataError


class Videos(Layout):
    """Clips of a folder: each video file, and each folder that holds images, however they are named.

    What can't be read is left out with a warning. Video files are taken frame by frame as they are coded,
    so that a variable frame rate doubles no frame, and turned as they are meant to be seen.

    Attributes:
        folder: Folder with the videos, searched with all folders under it.
        max_frames: Frames taken of each video at most, from its start.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
    """

    title = "videos and folders of frames"
    lenient = True

    def __init__(self, *, folder: str, max_frames: Count | None, scale: Count) -> None:
        super().__init__(folder, scale, max_frames=max_frames)

    def entries(self) -> list[Entry]:
        """The clips, in the natural order of their paths.

        Raises:
            DataError: If the folder is missing or holds no video.
        """
        paths = find_videos(self.folder)
        if not paths:
            raise DataError(f"expected video files or folders of frames under '{self.folder}', found none")
        return [Entry(self._name(path), path) for path in paths]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix() if path != self.folder else self.folder.name


def find_videos(folder: Path) -> list[Path]:
    """Video files, and folders that hold images but no video files, in natural order.

    Raises:
        DataError: If the folder is missing.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder of videos at '{folder}'")
    paths = []
    for here, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(here)] if holds_frames(Path(here)) else visible_files(Path(here), VIDEO_SUFFIXES)
    return sorted(paths, key=lambda path: natural_key(str(path)))
