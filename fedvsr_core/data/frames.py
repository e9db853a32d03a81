"""Reading the frames of a video file or of a folder of images."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fedvsr_core.data.clips import Frames
from fedvsr_core.errors import DataError

Frame = npt.NDArray[np.uint8]
"""One frame (H, W, 3), RGB."""

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


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
        height, width = _read_image(images[0]).shape[:2]
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
    if path.is_dir():
        return min(len(image_files(path)), most)
    capture, count = _open(path), 0
    try:
        while count < most and capture.grab():
            count += 1
    finally:
        capture.release()
    return count


@functools.lru_cache(maxsize=8)
def load_frames(path: Path, first: int, stop: int) -> Frames:
    """Decode consecutive frames into one array; the last few results are kept for the next caller.

    Args:
        path: A video file or a folder of images.
        first: First frame.
        stop: Frame to stop before.

    Returns:
        Frames (stop - first, H, W, 3), read-only because they are shared.

    Raises:
        DataError: As `read_frames`, and if the video ends before ``stop``.
    """
    frames, count = None, 0
    for frame in read_frames(path, first, stop):
        if frames is None:
            frames = np.empty((stop - first, *frame.shape), np.uint8)
        frames[count] = frame
        count += 1
    if frames is None or count < stop - first:
        raise DataError(
            f"expected {stop} frames in '{path}', got {first + count}; it is damaged:"
            " re-encode it or leave it out"
        )
    frames.flags.writeable = False
    return frames


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


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key under which 'frame2' comes before 'frame10'."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _folder_frames(folder: Path, first: int, stop: int | None) -> Iterator[Frame]:
    for file in image_files(folder)[first:stop]:
        yield _read_image(file)


def _read_image(file: Path) -> Frame:
    image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR) if file.stat().st_size else None
    if image is None:
        raise DataError(f"'{file}' can't be read as an image; replace or remove it")
    return _rgb(image)


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
    if not capture.isOpened():
        raise DataError(f"expected a video at '{path}', but the file can't be decoded as one")
    return capture


def _rgb(image: cv2.typing.MatLike) -> Frame:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
