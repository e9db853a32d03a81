"""A shot: a clip whose frames are decoded only when someone asks for them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from fedvsr_core.data.clips import Clip, Frames
from fedvsr_core.data.frames import load_frames
from fedvsr_core.errors import DataError


@dataclass(frozen=True)
class Shot:
    """Consecutive frames without a shot change, known by size and name until `clip` decodes them.

    Attributes:
        name: Unique among the shots of a dataset.
        frames: Number of frames.
        height: Pixels, a multiple of the dataset's scale.
        width: Pixels, a multiple of the dataset's scale.
        load: Decodes all frames, (frames, height, width, 3).
    """

    name: str
    frames: int
    height: int
    width: int
    load: Callable[[], Frames]

    def clip(self) -> Clip:
        """Decode; the low-resolution frames are still to be made."""
        return Clip(self.name, self.load())

    def between(self, first: int, stop: int) -> "Shot":
        """The frames from ``first`` to before ``stop``; a view of the same memory."""
        if (first, stop) == (0, self.frames):
            return self
        cut = partial(_cut_frames, self.load, first, stop)
        return replace(self, name=f"{self.name}[{first}:{stop}]", frames=stop - first, load=cut)

    def tile(self, top: int, bottom: int, left: int, right: int) -> "Shot":
        """Rows ``top`` to before ``bottom`` of columns ``left`` to before ``right``; a view."""
        if (top, bottom, left, right) == (0, self.height, 0, self.width):
            return self
        cut = partial(_cut_tile, self.load, top, bottom, left, right)
        name = f"{self.name}[{top}:{bottom},{left}:{right}]"
        return replace(self, name=name, height=bottom - top, width=right - left, load=cut)


class Dataset(Protocol):
    """What a yaml of ``conf/data`` builds: shots to train on and shots that nobody trains on."""

    def train(self) -> list[Shot]:
        """Shots to divide among the clients."""

    def held_out(self) -> list[Shot]:
        """Shots to score the global model on."""


def video_shot(name: str, path: Path, *, first: int, stop: int, height: int, width: int, scale: int) -> Shot:
    """The frames ``first`` to before ``stop`` of a video, cropped to multiples of the scale.

    Args:
        name: Name of the shot.
        path: A video file or a folder of images.
        first: First frame.
        stop: Frame to stop before.
        height: Height of the video in pixels.
        width: Width of the video in pixels.
        scale: Factor from low to high resolution.

    Raises:
        DataError: If the video is smaller than the scale or has no frames.
    """
    if stop <= first or height < scale or width < scale:
        raise DataError(
            f"clip '{name}' has {max(stop - first, 0)} frames of {width}x{height}, expected at least one of"
            f" {scale}x{scale}; remove '{path}'"
        )
    shot = Shot(name, stop - first, height, width, partial(load_frames, path, first, stop))
    return replace(shot.tile(0, height - height % scale, 0, width - width % scale), name=name)


def _cut_frames(load: Callable[[], Frames], first: int, stop: int) -> Frames:
    return load()[first:stop]


def _cut_tile(load: Callable[[], Frames], top: int, bottom: int, left: int, right: int) -> Frames:
    return load()[:, top:bottom, left:right]
