"""What is upscaled: a range of frames of a video file or a folder, and what is known of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedvsr.inference.frame_writer import Look, Timing
from fedvsr.inference.other_streams import Beside
from fedvsr.inference.tone_mapping import tone_mapped
from fedvsr_core.data.decoding import decode
from fedvsr_core.data.frame_index import FrameIndex, index_of
from fedvsr_core.data.frames import same_size
from fedvsr_core.data.images import folder_notes, image_files, read_image
from fedvsr_core.errors import ConfigurationError, DataError

_FOLDER_FPS = 25.0


@dataclass(frozen=True)
class Source:
    """A range of frames.

    Attributes:
        path: A video file, or a folder of images.
        first: Number of the first frame.
        stop: Number of the frame to stop before.
        height: Pixels.
        width: Pixels.
        timing: When the frames are shown.
        look: What of it is kept in the output.
        beside: What lies beside the frames of a video file.
        names: Names of the images of a folder.
        transfer: That of a high dynamic range, which is mapped to the standard one; None: it has none.
        notes: What should be known of how it is read.
        damage: What of it can't be read; grows as it is.
    """

    path: Path
    first: int
    stop: int
    height: int
    width: int
    timing: Timing
    look: Look = field(default_factory=Look)
    beside: Beside | None = None
    names: tuple[str, ...] = ()
    transfer: int | None = None
    notes: tuple[str, ...] = ()
    damage: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.stop - self.first

    def read(self, number: int = 0, *, deep: bool) -> Iterator[npt.NDArray[Any]]:
        """Read from a frame of the range on.

        Args:
            number: Of the frame, counted in the range.
            deep: Whether frames are uint16 rather than uint8.
        """
        first = self.first + number
        if self.names:
            frames = (read_image(self.path / name, deep=True) for name in self.names[number:])
            return same_size((_as(frame, deep=deep) for frame in frames), self.path, first)
        hdr = self.transfer is not None
        coded = decode(self.path, first, self.stop, deep=deep or hdr, hdr=hdr, on_damage=self.damage.append)
        if self.transfer is not None:
            transfer = self.transfer
            coded = (_as(tone_mapped(frame, transfer), deep=deep) for frame in coded)
        return same_size(coded, self.path, first)


def open_source(
    path: Path, *, start_s: float | None, end_s: float | None, fps: float | None, tone_map: bool
) -> Source:
    """Look at a video file or a folder of images.

    Args:
        path: Where it is.
        start_s: Seconds from the first frame on to leave out; None: none.
        end_s: Seconds from the first frame on at which to stop; None: at the end.
        fps: Frames a second of a folder; None: 25.
        tone_map: Whether a high dynamic range may be mapped to the standard one.

    Raises:
        DataError: If there is no video, or it can't be read right, or the range holds no frame.
        ConfigurationError: If frames a second are given for a video file, which says so itself.
    """
    if path.is_dir():
        return _of_folder(path, start_s, end_s, fps or _FOLDER_FPS)
    if fps is not None:
        raise ConfigurationError(f"'{path}' is a video file, which has its own times; leave --fps out")
    index = index_of(path)
    index.shown.check(path, hdr=tone_map)
    first, stop = _range(path, index.seconds(), start_s, end_s)
    begin_s = float(index.times[first] * index.tick) if start_s else index.start_s
    shift = round(Fraction(begin_s).limit_denominator(1_000_000) / index.tick)
    shift = min(shift, int(index.times[first]))
    last_s = None if stop == len(index.times) else float(index.times[stop] * index.tick)
    shown, hdr = index.shown, index.shown.hdr
    look = Look(shown.aspect, 2 if hdr else shown.primaries, 2 if hdr else shown.transfer, shown.bits)
    return Source(
        path,
        first,
        stop,
        shown.height,
        shown.width,
        Timing(index.rate, index.tick, (index.times[first:stop] - shift).tolist()),
        look,
        Beside(path, begin_s, cut=bool(start_s), end_s=last_s),
        transfer=shown.transfer if hdr else None,
        notes=_notes(index),
        damage=[index.lost] if index.lost else [],
    )


def _notes(index: FrameIndex) -> tuple[str, ...]:
    notes = index.shown.notes()
    if index.shown.hdr:
        notes.append("its high dynamic range is mapped to the standard one")
    return tuple(note for note in notes if not note.startswith("pixels aren't square"))


def _of_folder(path: Path, start_s: float | None, end_s: float | None, fps: float) -> Source:
    files = image_files(path)
    first, stop = _range(path, np.arange(len(files)) / fps, start_s, end_s)
    files = files[first:stop]
    frame = read_image(files[0], deep=True)
    return Source(
        path,
        first,
        stop,
        frame.shape[0],
        frame.shape[1],
        Timing.constant(fps),
        replace(Look(), bits=8 if frame.dtype == np.uint8 else 16),
        names=tuple(file.name for file in files),
        notes=tuple(folder_notes(path)),
    )


def _range(
    path: Path, seconds: npt.NDArray[np.float64], start_s: float | None, end_s: float | None
) -> tuple[int, int]:
    first = int(np.searchsorted(seconds, (start_s or 0) - 1e-6))
    stop = len(seconds) if end_s is None else int(np.searchsorted(seconds, end_s - 1e-6))
    if first >= stop:
        raise DataError(
            f"there is no frame of '{path}' between the times that --start and --end give;"
            f" it has {len(seconds)} frames, the last at {seconds[-1]:.3f} s"
        )
    return first, stop


def _as(frame: npt.NDArray[Any], *, deep: bool) -> npt.NDArray[Any]:
    """A frame of 8 or of 16 bits."""
    if deep:
        return frame if frame.dtype == np.uint16 else frame.astype(np.uint16) * 257
    return frame if frame.dtype == np.uint8 else np.asarray((frame.astype(np.uint32) + 128) // 257, np.uint8)
