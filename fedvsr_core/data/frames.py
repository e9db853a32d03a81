"""Reading the frames of a video file or of a folder of images."""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fedvsr_core.data.clips import Box, Cut, Frames, Pixels
from fedvsr_core.errors import DataError

Frame = npt.NDArray[np.uint8]
"""One frame (H, W, 3), RGB."""

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

_READ_AS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_READ_AS_STORED = cv2.IMREAD_UNCHANGED


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself before it is decoded.

    Attributes:
        frames: Number of frames; for a video file what its header claims, 0 if it claims nothing.
        height: Pixels.
        width: Pixels.
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
    capture = _open(path)
    try:
        size = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        frames, height, width = (int(capture.get(key)) for key in size)
        fps = capture.get(cv2.CAP_PROP_FPS)
    finally:
        capture.release()
    return VideoFacts(max(frames, 0), height, width, fps if fps > 0 else None)


def read_frames(path: Path, first: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Decode frames one by one, in constant memory.

    Args:
        path: A video file, or a folder of images in the natural order of their names (2 before 10).
        first: Number of frames to leave out at the start.
        stop: Frame to stop before; None reads to the end.

    Yields:
        Frames (H, W, 3), RGB uint8, all of one size; 16-bit images are reduced to 8 bits.

    Raises:
        DataError: If ``path`` doesn't exist, isn't a video, or its frames differ in size.
    """
    frames = _folder_frames(path, first, stop) if path.is_dir() else _video_frames(path, first, stop)
    size = None
    for number, frame in enumerate(frames, start=first):
        size = size or frame.shape
        if frame.shape != size:
            raise DataError(
                f"frames of a video must have one size, but frame {number} of '{path}' is"
                f" {_size(frame.shape)} after {_size(size)}; cut the video there or remove the frame"
            )
        yield frame


def count_frames(path: Path, most: int) -> int:
    """Count frames by decoding them, since headers can be wrong; stops at ``most``.

    Raises:
        DataError: If ``path`` doesn't exist or isn't a video.
    """
    return min(len(image_files(path)), most) if path.is_dir() else len(pick_frames(path, most))


def orientation(path: Path) -> int:
    """Degrees, clockwise, by which a video file asks to be turned; its frames are read turned.

    Raises:
        DataError: If ``path`` doesn't exist or isn't a video.
    """
    capture = _open(path)
    try:
        return int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
    finally:
        capture.release()


def frame_times(path: Path) -> list[float]:
    """The times of all frames of a video file that can be decoded, in milliseconds.

    Raises:
        DataError: If ``path`` doesn't exist or isn't a video.
    """
    capture, times = _open(path), []
    try:
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    finally:
        capture.release()
    return times


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


def stream(pixels: Pixels) -> Iterator[Frame]:
    """The frames of any pixels one by one, in constant memory, each decoded once."""
    match pixels:
        case Cut(VideoFrames() as video, (times, rows, columns)):
            yield from (frame[rows, columns] for frame in _numbered(video.path, video.numbers[times]))
        case VideoFrames():
            yield from _numbered(pixels.path, pixels.numbers)
        case _:
            for time in range(pixels.shape[0]):
                yield pixels[time : time + 1, :, :][0]


def pick_frames(path: Path, most: int | None = None, fps: float | None = None) -> tuple[int, ...]:
    """Choose frames of a video file by decoding it, since headers can be wrong.

    Args:
        path: Video file.
        most: Frames to choose at most, from the start; None chooses to the end.
        fps: Frames a second to choose, each the first at or after its time; None chooses every frame. A video
            with fewer keeps what it has: no frame is chosen twice.

    Returns:
        Numbers of the frames, ascending; empty if none can be decoded.

    Raises:
        DataError: If ``path`` doesn't exist or isn't a video.
    """
    return _pick_frames(path, path.stat().st_mtime_ns if path.exists() else 0, most, fps)


@functools.lru_cache(maxsize=4096)
def _pick_frames(path: Path, _changed: int, most: int | None, fps: float | None) -> tuple[int, ...]:
    picks: list[int] = []
    capture, number, due_ms = _open(path), 0, 0.0
    try:
        while (most is None or len(picks) < most) and capture.grab():
            time_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
            if fps is None or time_ms >= due_ms - 1:  # times are rounded to milliseconds in some containers
                picks.append(number)
                due_ms = 0.0 if fps is None else max(due_ms, time_ms - 1e3 / fps) + 1e3 / fps
            number += 1
    finally:
        capture.release()
    return tuple(picks)


@dataclass(frozen=True)
class VideoFrames:
    """Some frames of a video file, decoded anew from its start whenever they are sliced.

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
        found = np.empty((len(numbers), bottom - top, right - left, 3), np.uint8)
        for frame, whole in zip(found, _numbered(self.path, numbers), strict=True):
            frame[:] = whole[top:bottom, left:right]
        return found


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
        found = np.empty((len(files), bottom - top, right - left, 3), np.uint8)
        for frame, file in zip(found, files, strict=True):
            image = read_image(file)
            if image.shape[:2] != (self.height, self.width):
                raise DataError(
                    f"frames of a clip must have one size, but '{file}' is {_size(image.shape)} after"
                    f" {self.width}x{self.height}; replace or remove it"
                )
            frame[:] = image[top:bottom, left:right]
        return found


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in the natural order of their names.

    Raises:
        DataError: If there are none.
    """
    images = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not images:
        raise DataError(
            f"expected images ({', '.join(sorted(IMAGE_SUFFIXES))}) in the folder '{folder}', found none"
        )
    return sorted(images, key=lambda file: natural_key(file.name))


def image_size(file: Path) -> tuple[int, int]:
    """Height and width of an image, from its header.

    Raises:
        DataError: If it has none that can be read.
    """
    try:
        with Image.open(file) as image:
            return image.height, image.width
    except OSError as error:  # PIL's own error is one
        raise DataError(f"'{file}' can't be read as an image; replace or remove it") from error


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key under which 'frame2' comes before 'frame10'."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


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


def read_image(file: Path, *, as_stored: bool = False) -> Frame:
    """Decode one image to RGB; 16-bit images are reduced to 8 bits, unless it is wanted as it is stored.

    Raises:
        DataError: If it can't be decoded.
    """
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DataError(f"there is no image '{file}'; restore it") from error
    image = cv2.imdecode(data, _READ_AS_STORED if as_stored else _READ_AS) if data.size else None
    if image is None:
        raise DataError(f"'{file}' can't be read as an image; replace or remove it")
    return np.asarray(image) if as_stored else _rgb(image)


def _video_frames(path: Path, first: int, stop: int | None) -> Iterator[Frame]:
    capture = _open(path)
    try:
        number = 0
        while (stop is None or number < stop) and capture.grab():
            if number >= first:
                decoded, image = capture.retrieve()
                if not decoded:
                    raise DataError(
                        f"frame {number} of '{path}' can't be decoded; cut or re-encode the video"
                    )
                yield _rgb(image)
            number += 1
    finally:
        capture.release()


def _open(path: Path) -> cv2.VideoCapture:
    if not path.exists():
        raise DataError(f"there is no video file or folder of frames at '{path}'")
    # Naming the backend keeps OpenCV from taking a file name with digits for a numbered series of images.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # as the video is meant to be seen
    if not capture.isOpened():
        raise DataError(f"expected a video at '{path}', but the file can't be decoded as one")
    return capture


def _rgb(image: cv2.typing.MatLike) -> Frame:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
