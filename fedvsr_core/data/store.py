"""The clip store: clips decoded once, from which a crop of a few frames is read by itself.

A folder with ``clip-store.json`` and a folder for each prepared clip. That holds ``clip.json`` and, for each
of its shots, the raw bytes of the frames, planes one after the other, (T, 3, H, W): the rows of a crop are
contiguous, and become a tensor without rearranging. Files are mapped into memory, so that only the pages that
a crop touches are read.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedvsr_core.components import Count, build
from fedvsr_core.data.clips import MOST_PIXELS, Box, Frames
from fedvsr_core.data.degradation import Degradation
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.json_text import parse_json
from fedvsr_core.printable import printable

STORE = "clip-store.json"
CLIP = "clip.json"
VERSION = 1


@dataclass(frozen=True)
class Planes:
    """Frames of a file of planes (T, 3, H, W), mapped into memory when they are first sliced.

    Attributes:
        path: The file.
        frames: Number of frames.
        height: Pixels.
        width: Pixels.
    """

    path: Path
    frames: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return self.frames, self.height, self.width, 3

    def __getitem__(self, box: Box, /) -> Frames:
        """A view of the file; raises DataError if it is missing or has another size than it should."""
        times, rows, columns = box
        expected = self.frames * 3 * self.height * self.width
        facts = self.path.stat() if self.path.is_file() else None
        if facts is None or facts.st_size != expected:
            raise DataError(f"expected {expected} bytes in '{self.path}' of a clip store; prepare it again")
        planes = _map(self.path, facts.st_mtime_ns, (self.frames, 3, self.height, self.width))
        return planes[times, :, rows, columns].transpose(0, 2, 3, 1)


class ClipStore:
    """Clips that ``fedvsr data prepare`` made.

    Attributes:
        folder: The store.
        scale: Factor from low to high resolution; must be the one it was made for.
    """

    title = "a clip store"

    def __init__(self, *, folder: str, scale: Count) -> None:
        self.folder = Path(folder).expanduser()
        self.scale = scale

    def train(self) -> list[Shot]:
        """Shots to divide among the clients.

        Raises:
            DataError: If this is no clip store, or one for another scale, or it is empty or damaged.
        """
        return self._shots(held_out=False)

    def held_out(self) -> list[Shot]:
        """Shots that nobody trains on; raises as `train`."""
        return self._shots(held_out=True)

    def problems(self) -> list[str]:
        """What is wrong with the files of its shots; raises DataError if they can't even be listed."""
        problems = []
        for shot in (*self.train(), *self.held_out()):
            for pixels in (shot.high, shot.low):
                try:
                    if pixels is not None:
                        pixels[0:1, 0:1, 0:1]
                except DataError as error:
                    problems.append(f"clip '{shot.name}': {error}")
        return problems

    def _shots(self, *, held_out: bool) -> list[Shot]:
        about = _read(self.folder / STORE)
        if about.get("version") != VERSION:
            raise DataError(
                f"the clip store '{self.folder}' has version {about.get('version')}, expected {VERSION};"
                " prepare another one"
            )
        if about.get("scale") != self.scale:
            raise DataError(
                f"the clip store '{self.folder}' was made for scale {about.get('scale')}, but"
                f" {self.scale} is wanted; prepare another one"
            )
        clips = [_read(path) for path in self.folder.glob(f"[!.]*/{CLIP}")]  # .* are being prepared
        if not clips:
            raise DataError(f"the clip store '{self.folder}' holds no clip; prepare it again")
        try:
            made_by = None if about["degradation"] is None else build(about["degradation"])
            clips.sort(key=lambda clip: int(clip["number"]))
            return [
                self._shot(clip, facts, made_by)
                for clip in clips
                if clip["held-out"] == held_out
                for facts in clip["shots"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"the clip store '{self.folder}' is damaged: {error!r} is missing or wrong; prepare it again"
            ) from error

    def _shot(self, clip: dict[str, Any], facts: dict[str, Any], made_by: Degradation | None) -> Shot:
        folder, size = self.folder / clip["folder"], [int(side) for side in facts["size"]]
        if len(size) != 3 or min(size) < 1 or size[1] * size[2] > MOST_PIXELS:
            raise ValueError(f"size {size}")
        frames, height, width = size
        low = None
        if facts["low"] is not None:
            low = Planes(folder / facts["low"], frames, height // self.scale, width // self.scale)
        return Shot(
            printable(str(facts["name"])),
            Planes(folder / facts["high"], frames, height, width),
            low,
            None if clip["low-is-given"] else made_by,
            clip["label"],
        )


def is_store(folder: Path) -> bool:
    """Whether a folder is a clip store."""
    return (folder / STORE).is_file()


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(parse_json(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"'{path}' can't be read as part of a clip store; prepare it again") from error


@lru_cache(maxsize=128)
def _map(path: Path, _changed: int, shape: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    return np.memmap(path, np.uint8, "r", shape=shape)
