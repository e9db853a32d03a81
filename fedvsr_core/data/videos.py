"""Your own data: every video file or folder of frames under one folder is a clip."""

import os
from pathlib import Path

from fedvsr_core.data.frames import IMAGE_SUFFIXES, VIDEO_SUFFIXES, count_frames, natural_key, probe
from fedvsr_core.data.shots import Shot, video_shot
from fedvsr_core.errors import DataError


class Videos:
    """Clips of a folder: the first frames of each video file, and of each folder that holds images.

    Attributes:
        folder: Folder with the videos to train on, searched with all folders under it.
        held_out_folder: Folder with the videos to score on, or None.
        max_frames: Frames taken of each video at most. A client keeps its clips in memory.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
    """

    def __init__(self, *, folder: str, held_out_folder: str | None, max_frames: int, scale: int) -> None:
        self.folder = Path(folder)
        self.held_out_folder = None if held_out_folder is None else Path(held_out_folder)
        self.max_frames = max_frames
        self.scale = scale

    def train(self) -> list[Shot]:
        """The clips of the folder, in the natural order of their paths.

        Raises:
            DataError: If the folder is missing or holds no video, or one can't be read.
        """
        return self._shots(self.folder)

    def held_out(self) -> list[Shot]:
        """The clips of the held-out folder, if one is given; raises as `train`."""
        return [] if self.held_out_folder is None else self._shots(self.held_out_folder)

    def _shots(self, folder: Path) -> list[Shot]:
        videos = find_videos(folder)
        if not videos:
            raise DataError(f"expected video files or folders of frames under '{folder}', found none")
        return [self._shot(folder, video) for video in videos]

    def _shot(self, folder: Path, video: Path) -> Shot:
        facts, stop = probe(video), count_frames(video, self.max_frames)
        name = video.relative_to(folder).as_posix() if video != folder else folder.name
        return video_shot(
            name, video, first=0, stop=stop, height=facts.height, width=facts.width, scale=self.scale
        )


def find_videos(folder: Path) -> list[Path]:
    """Video files, and folders that hold images but no video files, in natural order.

    Raises:
        DataError: If the folder is missing.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder of videos at '{folder}'")
    found = []
    for here, _, files in os.walk(folder):
        suffixes = {name: Path(name).suffix.lower() for name in files}
        videos = [Path(here, name) for name, suffix in suffixes.items() if suffix in VIDEO_SUFFIXES]
        if not videos and IMAGE_SUFFIXES & set(suffixes.values()):  # images beside videos are posters
            videos = [Path(here)]
        found += videos
    return sorted(found, key=lambda path: natural_key(str(path)))
