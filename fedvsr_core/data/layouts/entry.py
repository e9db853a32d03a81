"""From a place on disk to shots: one video file, or one folder of frames."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from fedvsr_core.data.clips import Cut, Pixels
from fedvsr_core.data.degradation import Degradation
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import VideoFrames, pick_frames
from fedvsr_core.data.images import ImageFrames, folder_notes, image_files, image_size, runs_of
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.printable import printable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A clip as a layout lists it, before anything is opened.

    Attributes:
        name: Unique in its dataset.
        high: A video file, or a folder of images.
        low: The folder of its low-resolution images, or a video file of them, if there is one.
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

    def __post_init__(self) -> None:
        """Names of files may hold anything; what a clip is called is shown, and sent to a journal."""
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "label", self.label and printable(self.label))


def open_entry(
    entry: Entry, *, scale: int, max_frames: int | None = None, fps: float | None = None, every: bool = False
) -> list[Shot]:
    """Look at an entry without decoding more than needed.

    Args:
        entry: What to open.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
        max_frames: Frames to take at most, from the start; None takes all.
        fps: Frames a second to take of a video file; None takes every frame.
        every: Whether the header of every image that is taken is read, rather than that of the first; those
            that can't be read are left out with a warning, as if they were missing.

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
    sizes, broken = _sizes(entry, files[: max_frames if every else 1])
    height, width = next(iter(sizes.values()))
    for file, size in sizes.items():
        if size != (height, width):
            raise DataError(
                f"frames of a clip must have one size, but '{file}' is {size[1]}x{size[0]} after"
                f" {width}x{height}; replace or remove it"
            )
    low = None if entry.low is None else open_low(entry, entry.low, scale, len(files), height, width)
    shot = Shot(entry.name, ImageFrames(files, height, width), label=entry.label).cropped(scale)
    shot = replace(shot, low=low, low_by=entry.low_by)
    runs = without(broken, runs_of([file.name for file in files[:max_frames]]))
    if len(runs) == 1 and not broken:
        return [replace(shot.between(*runs[0]), name=entry.name)]
    return [shot.between(first, stop) for first, stop in runs]


def _sizes(entry: Entry, files: Sequence[Path]) -> tuple[dict[Path, tuple[int, int]], list[int]]:
    """The size of each image, and the places of those that can't be read, each of which is named."""
    if entry.size is not None:
        return {files[0]: entry.size}, []
    sizes: dict[Path, tuple[int, int]] = {}
    problems: dict[int, DataError] = {}
    for place, file in enumerate(files):
        try:
            sizes[file] = image_size(file)
        except DataError as error:
            problems[place] = error
    if not sizes:
        raise problems[0]
    for problem in problems.values():
        _log.warning("clip '%s' is cut there: left out: %s", entry.name, problem)
    return sizes, list(problems)


def without(places: Iterable[int], runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of frames, first and stop, cut at some places, which are left out."""
    gone = sorted(places)
    kept = []
    for first, stop in runs:
        ends = [first - 1, *(place for place in gone if first <= place < stop), stop]
        kept += [(end + 1, after) for end, after in pairwise(ends) if end + 1 < after]
    return kept


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
    shot = Shot(entry.name, pixels, label=entry.label)
    if entry.low is not None:
        low = open_low(entry, entry.low, scale, len(index.times), look.height, look.width)
        _, low_height, low_width, _ = low.shape
        taken = slice(0, shot.frames), slice(0, low_height), slice(0, low_width)
        shot = replace(shot, low=Cut(low, taken), low_by=entry.low_by)
    return shot.cropped(scale)


def open_low(entry: Entry, folder: Path, scale: int, frames: int, height: int, width: int) -> Cut:
    """Open the low-resolution frames of an entry.

    Args:
        entry: The entry.
        folder: Folder of images, or video file, that holds them.
        scale: Factor from low to high resolution.
        frames: Number of high-resolution frames.
        height: Height of the high-resolution frames.
        width: Width of the high-resolution frames.

    Raises:
        DataError: If they are fewer or more, or their size isn't that of the high-resolution ones divided by
            the scale, rounded down or up.
    """
    pixels: Pixels
    if folder.is_file():
        index = index_of(folder)
        index.shown.check(folder)
        pixels = VideoFrames(folder, pick_frames(folder, None, None), index.shown.height, index.shown.width)
    else:
        files = _files(entry, folder)
        pixels = ImageFrames(files, *image_size(files[0]))
    count, low_height, low_width, _ = pixels.shape
    if count != frames:
        raise DataError(
            f"clip '{entry.name}' has {frames} high-resolution frames, but {count} low-resolution ones"
            f" in '{folder}'; restore them, or remove that folder to have them made"
        )
    if low_height not in (height // scale, -(-height // scale)) or low_width not in (
        width // scale,
        -(-width // scale),
    ):
        raise DataError(
            f"clip '{entry.name}' is {width}x{height}, so its low-resolution frames must be"
            f" {width // scale}x{height // scale} for scale {scale}, but those in '{folder}' are"
            f" {low_width}x{low_height}; name the folder for this scale, or remove it to have them made"
        )
    return Cut(pixels, (slice(0, frames), slice(0, height // scale), slice(0, width // scale)))
