"""Writing frames to a video file or a folder of PNGs that appears only when it is complete."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from fedvsr_core.data.frames import Frame, count_frames
from fedvsr_core.errors import DataError

# What OpenCV can write everywhere. Only .mkv is lossless.
_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "FFV1"}
_PNG = re.compile(r"\d{6,}\.png")


@contextmanager
def open_writer(path: Path, *, fps: float, overwrite: bool) -> Iterator[Callable[[Frame], None]]:
    """Write frames beside ``path``, and move them there when the block ends without an error.

    Args:
        path: A video file (.mp4, .mov and .avi lose quality, .mkv doesn't), or a folder if it has no suffix.
        fps: Frames a second of a video file.
        overwrite: Whether to replace what is there. A folder is replaced only if it holds nothing but frames.

    Yields:
        A function that takes the next frame (H, W, 3), RGB uint8; all must have one size.

    Raises:
        DataError: If ``path`` can't be written, or exists.
    """
    check_free(path, overwrite=overwrite)
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as workshop:
        partial = Path(workshop, path.name)
        with _video_file(partial, fps) if path.suffix else _folder(partial) as write:
            yield write
        if path.is_dir():
            path.rename(Path(workshop, "replaced"))
        os.replace(partial, path)


def check_free(path: Path, *, overwrite: bool) -> None:
    """See whether a sink can be opened.

    Args:
        path: As for `open_writer`.
        overwrite: As for `open_writer`.

    Raises:
        DataError: If it can't.
    """
    if path.suffix and path.suffix.lower() not in _CODECS:
        raise DataError(
            f"output '{path}' must be a video ({', '.join(sorted(_CODECS))}) or a folder, which has no suffix"
        )
    if not path.parent.is_dir():
        raise DataError(f"there is no folder '{path.parent}' to write '{path.name}' in; create it first")
    if not path.exists():
        return
    if not overwrite:
        raise DataError(f"output '{path}' exists already; choose another name or add --overwrite")
    if path.is_dir() == bool(path.suffix) or (path.is_dir() and not all(map(_is_frame, path.iterdir()))):
        raise DataError(f"output '{path}' holds other things than a former result; choose another name")


def _is_frame(file: Path) -> bool:
    return _PNG.fullmatch(file.name) is not None


@contextmanager
def _video_file(path: Path, fps: float) -> Iterator[Callable[[Frame], None]]:
    writer: cv2.VideoWriter | None = None
    written = 0

    def write(frame: Frame) -> None:
        nonlocal writer, written
        writer = writer or _open_writer(path, fps, frame)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        written += 1

    try:
        yield write
    finally:
        if writer:
            writer.release()
    # OpenCV says nothing when the disk is full.
    found = count_frames(path, written) if written else 0
    if found < written or not written:
        raise DataError(f"only {found} of {written} frames could be written; is the disk full?")


def _open_writer(path: Path, fps: float, frame: Frame) -> cv2.VideoWriter:
    height, width = frame.shape[:2]
    codec = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, (width, height))
    if not writer.isOpened():
        raise DataError(f"OpenCV can't write {path.suffix} of {width}x{height}; write to a folder instead")
    return writer


@contextmanager
def _folder(path: Path) -> Iterator[Callable[[Frame], None]]:
    path.mkdir()
    numbers = count()

    def write(frame: Frame) -> None:
        _, png = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        Path(path, f"{next(numbers):06d}.png").write_bytes(png.tobytes())

    yield write
