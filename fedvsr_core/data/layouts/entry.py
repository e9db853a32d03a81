"""From a place on disk to shots: one video file, or one folder of frames."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from fedvsr_core.data.clips import Cut
from fedvsr_core.data.degradation import Degradation
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import VideoFrames, pick_frames
from fedvsr_core.data.images import ImageFrames, folder_notes, image_files, image_size, runs_of
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A clip as a layout lists it, before anything is opened.

    Attributes:
        name: Unique in its dataset.
        high: A video file, or a folder of images.
        low: The folder of its low-resolution images, if there is one.
        low_by: The degradation they were made with, or None where nobody knows.
        label: Class of what it shows, or None.
        held_out: Whether nobody trains on it.
        frames: How many images the published set has there; None: however many there are.
        files: Names of the images, where the set fixes them; None: all in the folder, in natural order.
        size: Height and width, where the set fixes them; None: those of the first image.
    """

    name: str
    high: Path
    low: Path | None = None
    low_by: Degradation | None = None
    label: str | None = None
    held_out: bool = False
    frames: int | None = None
    files: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None


def open_entry(
    entry: Entry, *, scale: int, max_frames: int | None = None, fps: float | None = None, every: bool = False
) -> list[Shot]:
    """Look at an entry without decoding more than needed.

    Args:
        entry: What to open.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
        max_frames: Frames to take at most, from the start; None takes all.
        fps: Frames a second to take of a video file; None takes every frame.
        every: Whether the header of every image that is taken is read, rather than that of the first.

    Returns:
        One shot; of a folder whose numbering has gaps, a shot for each run without one.

    Raises:
        DataError: If there is nothing to read, or the low-resolution frames don't fit.
    """
    if entry.high.is_file():
        return [_open_video(entry, scale, max_frames, fps)]
    files = _files(entry, entry.high)
    if entry.frames is not None and len(files) != entry.frames:
        raise DataError(
            f"clip '{entry.name}' has {len(files)} frames in '{entry.high}', but the published set has"
            f" {entry.frames}; extract it anew"
        )
    for note in folder_notes(entry.high) if entry.files is None else ():
        _log.warning("clip '%s': %s", entry.name, note)
    height, width = entry.size or image_size(files[0])
    for file in files[:max_frames] if every else ():
        if (size := image_size(file)) != (height, width):
            raise DataError(
                f"frames of a clip must have one size, but '{file}' is {size[1]}x{size[0]} after"
                f" {width}x{height}; replace or remove it"
            )
    low = None if entry.low is None else open_low(entry, entry.low, scale, len(files), height, width)
    shot = Shot(entry.name, ImageFrames(files, height, width), label=entry.label).cropped(scale)
    shot = replace(shot, low=low, low_by=entry.low_by)
    runs = runs_of([file.name for file in files[:max_frames]])
    if len(runs) == 1:
        return [replace(shot.between(*runs[0]), name=entry.name)]
    return [shot.between(first, stop) for first, stop in runs]


def _files(entry: Entry, folder: Path) -> tuple[Path, ...]:
    if entry.files is not None:
        return tuple(folder / name for name in entry.files)
    return tuple(image_files(folder))


def _open_video(entry: Entry, scale: int, max_frames: int | None, fps: float | None) -> Shot:
    index = index_of(entry.high)
    if index.lost:
        _log.warning(
            "clip '%s': %s; the %d frames that can be read are used", entry.name, index.lost, len(index.times)
        )
    look = index.shown
    look.check(entry.high)
    pixels = VideoFrames(entry.high, pick_frames(entry.high, max_frames, fps), look.height, look.width)
    return Shot(entry.name, pixels, label=entry.label).cropped(scale)


def open_low(entry: Entry, folder: Path, scale: int, frames: int, height: int, width: int) -> Cut:
    """Open the folder of an entry's low-resolution images.

    Args:
        entry: The entry.
        folder: Where they are.
        scale: Factor from low to high resolution.
        frames: Number of high-resolution frames.
        height: Height of the high-resolution frames.
        width: Width of the high-resolution frames.

    Raises:
        DataError: If they are fewer or more, or their size isn't that of the high-resolution ones divided by
            the scale, rounded down or up.
    """
    files = _files(entry, folder)
    if len(files) != frames:
        raise DataError(
            f"clip '{entry.name}' has {frames} high-resolution frames, but {len(files)} low-resolution ones"
            f" in '{folder}'; restore them, or remove that folder to have them made"
        )
    low_height, low_width = image_size(files[0])
    if low_height not in (height // scale, -(-height // scale)) or low_width not in (
        width // scale,
        -(-width // scale),
    ):
        raise DataError(
            f"clip '{entry.name}' is {width}x{height}, so its low-resolution frames must be"
            f" {width // scale}x{height // scale} for scale {scale}, but those in '{folder}' are"
            f" {low_width}x{low_height}; name the folder for this scale, or remove it to have them made"
        )
    pixels = ImageFrames(files, low_height, low_width)
    return Cut(pixels, (slice(0, frames), slice(0, height // scale), slice(0, width // scale)))
