"""Writing frames to a video file or a folder of PNGs that appears only when it is complete."""

import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Protocol

import av
import cv2
import numpy.typing as npt

from fedvsr.inference.encoding import CONTAINERS, Encoding, Shape
from fedvsr.inference.other_streams import Beside
from fedvsr.inference.remux import mux
from fedvsr.inference.segments import SegmentWriter, done_in
from fedvsr_core.errors import DataError

_PNG = re.compile(r"\d{6,}\.png")
_ABOUT = "job.json"
_SEGMENT = 128
"""Frames in a segment, at least: what a job that is killed loses, and from one key frame to the next."""

AnyFrame = npt.NDArray[Any]
"""One frame (H, W, 3), RGB, uint8 or uint16."""


@dataclass(frozen=True)
class Timing:
    """When frames are shown.

    Attributes:
        rate: Frames a second, on average.
        tick: Seconds in which times are counted.
        times: Time of each frame in ticks; None: they follow each other at the rate.
    """

    rate: Fraction
    tick: Fraction
    times: Sequence[int] | None = None

    @classmethod
    def constant(cls, fps: float) -> "Timing":
        """So many frames a second."""
        rate = Fraction(fps).limit_denominator(1001)
        return cls(rate, 1 / rate)

    def of(self, number: int) -> int:
        """The time of a frame; one after the last that is known comes a frame later."""
        if self.times is None or not len(self.times):
            return number
        late = number - len(self.times) + 1
        step = max(round(1 / (self.rate * self.tick)), 1)
        return int(self.times[min(number, len(self.times) - 1)]) + max(late, 0) * step


@dataclass(frozen=True)
class Look:
    """What of the source's look is kept.

    Attributes:
        aspect: Width of a pixel by its height.
        primaries: Number of the primaries (H.273); 2: not said.
        transfer: Number of the transfer; 2: not said.
        bits: Of each channel.
    """

    aspect: Fraction = Fraction(1)
    primaries: int = 2
    transfer: int = 2
    bits: int = 8


@dataclass(frozen=True)
class Output:
    """What is to be written.

    Attributes:
        path: A video file, or a folder if it has no suffix.
        timing: When its frames are shown.
        encoding: How frames of a video file are encoded.
        look: What of the source's look is kept.
        beside: What else goes into a video file.
        names: Names of the PNGs of a folder, None: their numbers.
    """

    path: Path
    timing: Timing
    encoding: Encoding = field(default_factory=Encoding)
    look: Look = field(default_factory=Look)
    beside: Beside | None = None
    names: Sequence[str] | None = None

    @property
    def workshop(self) -> Path:
        """The hidden folder in which it is written."""
        place = self.place
        return place.parent / f".{place.name}.partial"

    @property
    def place(self) -> Path:
        """Where it really lies: what a link points to."""
        return self.path.resolve() if self.path.is_symlink() else self.path

    @property
    def deep(self) -> bool:
        """Whether it has more than 8 bits."""
        suffix = self.path.suffix.lower()
        if not suffix:
            return (self.encoding.bits or self.look.bits) > 8
        return self.encoding.chosen(suffix, source_bits=self.look.bits).deep


def interrupted(output: Output) -> dict[str, Any]:
    """What the interrupted job that left something beside an output depended on; empty if there is none."""
    known = output.workshop / _ABOUT
    return dict(json.loads(known.read_text())) if known.is_file() else {}


class Writer(Protocol):
    """Takes frames in their order."""

    @property
    def done(self) -> int:
        """Frames that are safely written, by an earlier job too: the number of the next one to give."""

    def write(self, frame: AnyFrame) -> None:
        """Take the next frame; all must have one size."""

    @property
    def left_out(self) -> list[str]:
        """What the file can't hold of what lies beside the frames of the source, once it is complete."""


@contextmanager
def open_writer(
    output: Output,
    *,
    overwrite: bool = False,
    resume: bool = False,
    chunk: int = 1,
    about: Mapping[str, Any] | None = None,
) -> Iterator[Writer]:
    """Write frames beside the output, and move them there when the block ends without an error.

    Args:
        output: What to write.
        overwrite: Whether to replace what is there. A folder is replaced only if it holds nothing but frames.
        resume: Whether to go on where an interrupted job of the same kind stopped, and to keep what is done
            when this one is interrupted.
        chunk: Frames that come at once: a job goes on at a multiple of it.
        about: What the job depends on; another one isn't continued.

    Raises:
        DataError: If it can't be written, or exists, or the interrupted job was another one.
    """
    path = output.path
    check_free(output, overwrite=overwrite)
    workshop = output.workshop
    with _workshop(workshop, resume=resume, about=dict(about or {})):
        length = -(-_SEGMENT // chunk) * chunk
        kind: type[_VideoFile] | type[_Folder] = _VideoFile if path.suffix else _Folder
        writer = kind(output, workshop, length)
        try:
            try:
                yield writer
                finished = writer.finish()
            finally:
                writer.close()  # which writes what waits, and may find the disk full as well
        except (OSError, av.FFmpegError) as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise DataError(
                    f"the disk is full: only {writer.done} frames for '{path}' could be written; free some,"
                    " or write elsewhere"
                ) from error
            raise
        if output.place.is_dir():
            output.place.rename(workshop / "replaced")
        os.replace(finished, output.place)


def check_free(output: Output, *, overwrite: bool) -> None:
    """See whether an output can be written; raises DataError or ConfigurationError if it can't."""
    path = output.path
    suffix = path.suffix.lower()
    if suffix and suffix not in CONTAINERS:
        raise DataError(
            f"output '{path}' must be a video ({', '.join(sorted(CONTAINERS))}) or a folder, which has no"
            " suffix"
        )
    if suffix:
        output.encoding.chosen(suffix, source_bits=output.look.bits)
    parent = output.place.parent
    if not parent.is_dir():
        raise DataError(f"there is no folder '{parent}' to write '{path.name}' in; create it first")
    if not path.exists():
        return
    if not overwrite:
        raise DataError(f"output '{path}' exists already; choose another name or add --overwrite")
    known = set(output.names or ())
    if path.is_dir() == bool(suffix) or (
        path.is_dir() and not all(_PNG.fullmatch(file.name) or file.name in known for file in path.iterdir())
    ):
        raise DataError(f"output '{path}' holds other things than a former result; choose another name")


@contextmanager
def _workshop(folder: Path, *, resume: bool, about: dict[str, Any]) -> Iterator[None]:
    """A folder for one job at a time, which goes when the job ends, unless that may be resumed."""
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    keep = False
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            keep = True
            raise DataError(f"another job writes to '{folder}'; wait for it, or stop it first") from error
        known = folder / _ABOUT
        about = json.loads(json.dumps(about))
        if resume and known.is_file():
            before = json.loads(known.read_text())
            if before != about:
                keep = True
                other = sorted(key for key in {*before, *about} if before.get(key) != about.get(key))
                raise DataError(
                    f"the interrupted job in '{folder}' differs in {', '.join(other)}; give the same options,"
                    " or leave --resume out to start anew"
                )
        else:
            _empty(folder)
            known.write_text(json.dumps(about))
        keep = resume
        yield
        keep = False
    finally:
        os.close(lock)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


class _VideoFile:
    """Segments of encoded frames, which become a file at the end."""

    def __init__(self, output: Output, workshop: Path, length: int) -> None:
        self._output, self._workshop, self._length = output, workshop, length
        self._suffix = output.path.suffix.lower()
        self._chosen = output.encoding.chosen(self._suffix, source_bits=output.look.bits)
        self._folder = workshop / "segments"
        self._folder.mkdir(exist_ok=True)
        self._size = workshop / "size.json"
        self._segments: SegmentWriter | None = None
        self.left_out: list[str] = []

    @property
    def done(self) -> int:
        return done_in(self._folder) if self._segments is None else self._segments.done

    def write(self, frame: AnyFrame) -> None:
        if self._segments is None:
            self._size.write_text(json.dumps(frame.shape[:2]))
            self._segments = self._opened()
        self._segments.write(frame)

    def finish(self) -> Path:
        if self._segments is not None:
            self._segments.finish()
        if not self.done:
            raise DataError(f"there are no frames to write to '{self._output.path}'; see what the input has")
        path = self._workshop / f"complete{self._suffix}"
        self.left_out = mux(self._folder, path, self._chosen, self._shape(), self._output.beside)
        return path

    def close(self) -> None:
        if self._segments is not None:
            self._segments.close()

    def _opened(self) -> SegmentWriter:
        time = self._output.timing.of
        return SegmentWriter(self._folder, self._chosen, self._shape(), time, self._length)

    def _shape(self) -> Shape:
        height, width = json.loads(self._size.read_text())
        timing, look = self._output.timing, self._output.look
        return Shape(height, width, timing.rate, timing.tick, look.aspect, look.primaries, look.transfer)


class _Folder:
    """PNGs, of 16 bits where the frames have them."""

    left_out: ClassVar[list[str]] = []

    def __init__(self, output: Output, workshop: Path, length: int) -> None:
        self._output = output
        self._folder = workshop / "frames"
        self._folder.mkdir(exist_ok=True)
        written = sum(1 for path in self._folder.iterdir() if path.suffix == ".png")
        self.done = written // length * length

    def write(self, frame: AnyFrame) -> None:
        names = self._output.names
        name = f"{self.done:06d}.png" if names is None else names[self.done]
        _, png = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        partial = self._folder / "frame.part"
        partial.write_bytes(png.tobytes())
        partial.rename(self._folder / name)
        self.done += 1

    def finish(self) -> Path:
        if not self.done:
            raise DataError(f"there are no frames to write to '{self._output.path}'; see what the input has")
        return self._folder

    def close(self) -> None:
        pass
