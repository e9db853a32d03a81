"""Folders of images as frames."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fedvsr_core.data.clips import MOST_PIXELS, Box, Frames
from fedvsr_core.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".ogv"}
    | {".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".mxf", ".dv", ".y4m", ".gif"}
)

_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP")
"""What is looked for in a file, whatever its suffix: PIL knows others, some of which start programs."""
_READ_AS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_READ_AS_STORED = cv2.IMREAD_UNCHANGED
_SHOWN = 3
"""Files named in one sentence."""


@dataclass(frozen=True)
class ImageFrames:
    """Images of a folder as frames; those that are sliced are read.

    Attributes:
        files: One image a frame.
        height: Pixels.
        width: Pixels.
    """

    files: tuple[Path, ...]
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return len(self.files), self.height, self.width, 3

    def __getitem__(self, box: Box, /) -> Frames:
        """Read a box.

        Raises:
            DataError: If an image can't be read or has another size than the first one.
        """
        times, rows, columns = box
        files = self.files[times]
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        pixels = np.empty((len(files), bottom - top, right - left, 3), np.uint8)
        for frame, file in zip(pixels, files, strict=True):
            image = read_image(file)
            if image.shape[:2] != (self.height, self.width):
                raise DataError(
                    f"frames of a clip must have one size, but '{file}' is {image.shape[1]}x{image.shape[0]}"
                    f" after {self.width}x{self.height}; replace or remove it"
                )
            frame[:] = image[top:bottom, left:right]
        return pixels


def visible_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files of a folder with some suffixes, in the natural order of their names.

    Hidden ones don't count, among them what macOS leaves beside a file on foreign disks (``._1.png``).
    """
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(files, key=lambda file: natural_key(file.name))


def holds_frames(folder: Path) -> bool:
    """Whether a folder is one of frames: it has images and no videos, beside which images are posters.

    A single image above other folders is a poster, too.
    """
    images = len(visible_files(folder, IMAGE_SUFFIXES))
    if visible_files(folder, VIDEO_SUFFIXES):
        return False
    return images > 1 or (images == 1 and not any(_below(folder)))


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def image_files(folder: Path) -> list[Path]:
    """The frames of a folder in the natural order of their names.

    Images that aren't named as more than half of them are, posters and the like, are none.

    Raises:
        DataError: If there are none, or videos lie beside them, or two of them are the same frame.
    """
    images = visible_files(folder, IMAGE_SUFFIXES)
    if not images:
        raise DataError(
            f"expected images ({', '.join(sorted(IMAGE_SUFFIXES))}) in the folder '{folder}', found none;"
            " fill it or remove it"
        )
    if videos := visible_files(folder, VIDEO_SUFFIXES):
        raise DataError(
            f"expected a folder of frames, but '{folder}' holds the video '{videos[0].name}' too; name the"
            " video, or move the images to a folder of their own"
        )
    frames, _ = _parted(images)
    for before, after in pairwise(frames):
        if natural_key(before.stem) == natural_key(after.stem):
            raise DataError(
                f"'{before.name}' and '{after.name}' in '{folder}' are the same frame twice; remove one of"
                " each such pair"
            )
    return frames


def runs_of(names: Iterable[str]) -> list[tuple[int, int]]:
    """Cut a folder of frames where its numbering jumps.

    Args:
        names: File names in natural order; the last number in each counts.

    Returns:
        First and stop of each run; one run if some name has no number, or the numbers repeat.
    """
    names = list(names)
    numbers = [int(digits[-1]) for name in names if (digits := re.findall(r"[0-9]+", Path(name).stem))]
    steps = [after - before for before, after in pairwise(numbers)]
    if len(numbers) < len(names) or not steps or min(steps) < 1:
        return [(0, len(names))]
    cuts = [place + 1 for place, step in enumerate(steps) if step > min(steps)]
    return list(pairwise([0, *cuts, len(names)]))


def gaps(names: list[str]) -> str | None:
    """Where the numbering of files jumps, in words; None: nowhere."""
    after = [f"after '{names[stop - 1]}'" for _, stop in runs_of(names)[:-1]]
    return f"numbering jumps {some(after)}" if after else None


def folder_notes(folder: Path) -> list[str]:
    """What is odd about the images of a folder of frames."""
    return [
        note for note in (gaps([file.name for file in image_files(folder)]), extra_images(folder)) if note
    ]


def extra_images(folder: Path) -> str | None:
    """Images that aren't named as most of them are, in words; None: there are none."""
    frames, others = _parted(visible_files(folder, IMAGE_SUFFIXES))
    if others:
        names = some([file.name for file in others])
        return f"{names} isn't named as the frames are ('{frames[0].name}'), and left out"
    usual, *rest = _by_pattern(frames)
    if not rest:
        return None
    names = some([file.name for files in rest for file in files])
    return f"{names} isn't named as '{usual[0].name}', but read as a frame too"


def _parted(images: list[Path]) -> tuple[list[Path], list[Path]]:
    """The images that are named as more than half of them are, and the others; if none are, all and none."""
    usual, *rest = _by_pattern(images)
    if 2 * len(usual) > len(images):
        return usual, [file for files in rest for file in files]
    return images, []


def _by_pattern(images: list[Path]) -> list[list[Path]]:
    """Images that are named alike but for their numbers, the largest group first."""
    groups: dict[str, list[Path]] = {}
    for file in images:
        groups.setdefault(re.sub(r"[0-9]+", "#", file.stem.lower()), []).append(file)
    return sorted(groups.values(), key=len, reverse=True)


def image_size(file: Path) -> tuple[int, int]:
    """Height and width of an image, from its header; nothing that it asks for is done or allocated.

    Raises:
        DataError: If it has none that can be read, or too many pixels.
    """
    try:
        with Image.open(file, formats=_FORMATS) as image:
            height, width = image.height, image.width
    except Image.DecompressionBombError as error:
        raise DataError(f"'{file}': {error}; replace or remove it") from error
    except (OSError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise DataError(f"'{file}' can't be read as an image; replace or remove it") from error
    if height * width > MOST_PIXELS:
        raise DataError(
            f"'{file}' must have at most {MOST_PIXELS} pixels, has {width}x{height} by its header; replace or"
            " remove it"
        )
    return height, width


def read_image(file: Path, *, as_stored: bool = False, deep: bool = False) -> npt.NDArray[Any]:
    """Decode one image to RGB, uint8 unless it is wanted otherwise.

    Args:
        file: The image.
        as_stored: Channels and bits as they are in the file.
        deep: RGB of 16 bits where the file has them.

    Raises:
        DataError: If it can't be decoded, or has too many pixels.
    """
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DataError(f"there is no image '{file}'; restore it") from error
    image_size(file)  # before memory is taken
    flags = _READ_AS_STORED if as_stored else _READ_AS | (cv2.IMREAD_ANYDEPTH if deep else 0)
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"'{file}' can't be read as an image; replace or remove it")
    return np.asarray(image if as_stored else cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key under which 'frame2' comes before 'frame10'."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def some(names: list[str]) -> str:
    """A few of many names, in words."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
