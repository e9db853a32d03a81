"""Reading the frames of a video file or of a folder of images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fedvsr_core.data.clips import Box, Cut, Frames, Pixels
from fedvsr_core.data.decoding import decode
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.images import ImageFrames, image_files, image_size, read_image
from fedvsr_core.errors import DataError

Frame = npt.NDArray[np.uint8]
"""One frame (H, W, 3), RGB."""
_BATCH = 8
"""Frames that are read at once from what isn't a video file."""
A = TypeVar("A", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class VideoFacts:
    """Length and shape of a video.

    Attributes:
        frames: Number of frames that can be read.
        height: Pixels, upright.
        width: Pixels, upright.
        fps: Frames a second, or None for a folder of images.
    """

    frames: int
    height: int
    width: int
    fps: float | None


def probe(path: Path) -> VideoFacts:
    """Look at a video file or a folder of images without decoding all of it.

    Raises:
        DataError: If ``path`` doesn't exist or holds no video.
    """
    if path.is_dir():
        images = image_files(path)
        height, width = image_size(images[0])
        return VideoFacts(len(images), height, width, None)
    index = index_of(path)
    return VideoFacts(len(index.times), index.shown.height, index.shown.width, float(index.rate))


def read_frames(path: Path, first: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Decode frames one by one, in constant memory.

    Args:
        path: A video file, or a folder of images in the natural order of their names (2 before 10).
        first: Number of frames to leave out at the start.
        stop: Frame to stop before; None reads to the end.

    Yields:
        Frames (H, W, 3), RGB uint8, all of one size; more bits are reduced to 8.

    Raises:
        DataError: If ``path`` doesn't exist, isn't a video, or its frames differ in size.
    """
    frames = _folder_frames(path, first, stop) if path.is_dir() else decode(path, first, stop)
    yield from same_size(frames, path, first)


def same_size(frames: Iterable[A], path: Path, first: int = 0) -> Iterator[A]:
    """Pass frames on, and refuse one whose size isn't that of the first.

    Args:
        frames: Frames (H, W, 3).
        path: Where they are from, for the message.
        first: Number of the first of them.

    Raises:
        DataError: If one has another size.
    """
    size = None
    for number, frame in enumerate(frames, start=first):
        size = size or frame.shape
        if frame.shape != size:
            raise DataError(
                f"frames of a video must have one size, but frame {number} of '{path}' is"
                f" {_size(frame.shape)} after {_size(size)}; cut the video there or remove the frame"
            )
        yield frame


def files_of(pixels: Pixels) -> tuple[Path, ...]:
    """The files that pixels are decoded from; none for arrays and the like."""
    match pixels:
        case Cut():
            return files_of(pixels.pixels)
        case VideoFrames():
            return (pixels.path,)
        case ImageFrames():
            return pixels.files
        case _:
            return ()


def stream(pixels: Pixels, first: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """The frames of any pixels, or some of them, one by one in constant memory, each decoded once."""
    stop = pixels.shape[0] if stop is None else min(stop, pixels.shape[0])
    match pixels:
        case Cut(inner, (times, rows, columns)):
            for frame in stream(inner, times.start + first, times.start + stop):
                yield frame[rows, columns]
        case VideoFrames():
            yield from _numbered(pixels.path, pixels.numbers[first:stop])
        case _:
            for start in range(first, stop, _BATCH):
                yield from pixels[start : min(start + _BATCH, stop), :, :]


def pick_frames(path: Path, most: int | None = None, fps: float | None = None) -> tuple[int, ...]:
    """Choose frames of a video file by when they are shown.

    Args:
        path: Video file.
        most: Frames to choose at most, from the start; None chooses to the end.
        fps: Frames a second to choose, each the first at or after its time; None chooses every frame. A video
            with fewer keeps what it has: no frame is chosen twice.

    Returns:
        Numbers of the frames, ascending.

    Raises:
        DataError: If ``path`` doesn't exist or isn't a video, or none of it can be decoded.
    """
    times = index_of(path).seconds()
    if fps is None:
        return tuple(range(len(times)))[:most]
    picks: list[int] = []
    due = 0.0
    for number, time in enumerate(times.tolist()):
        if time >= due - 1e-3:  # times are rounded to milliseconds in some containers
            picks.append(number)
            due = max(due, time - 1 / fps) + 1 / fps
    return tuple(picks[:most])


@dataclass(frozen=True)
class VideoFrames:
    """Some frames of a video file, decoded when they are sliced.

    Attributes:
        path: Video file.
        numbers: Numbers of the frames, ascending.
        height: Pixels.
        width: Pixels.
    """

    path: Path
    numbers: Sequence[int]
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return len(self.numbers), self.height, self.width, 3

    def __getitem__(self, box: Box, /) -> Frames:
        """Decode a box.

        Raises:
            DataError: If the video ends too early, or a frame can't be decoded or has another size.
        """
        times, rows, columns = box
        numbers = self.numbers[times]
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        pixels = np.empty((len(numbers), bottom - top, right - left, 3), np.uint8)
        for frame, whole in zip(pixels, _numbered(self.path, numbers), strict=True):
            frame[:] = whole[top:bottom, left:right]
        return pixels


def _numbered(path: Path, numbers: Sequence[int]) -> Iterator[Frame]:
    """Decode the frames of a video file with the given numbers, ascending."""
    if not numbers:
        return
    count = 0
    for number, frame in enumerate(read_frames(path, numbers[0], numbers[-1] + 1), start=numbers[0]):
        if number == numbers[count]:
            yield frame
            count += 1
    if count < len(numbers):
        raise DataError(
            f"expected {numbers[-1] + 1} frames in '{path}', got fewer; it is damaged: re-encode it or leave"
            " it out"
        )


def _folder_frames(folder: Path, first: int, stop: int | None) -> Iterator[Frame]:
    for file in image_files(folder)[first:stop]:
        yield read_image(file)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
