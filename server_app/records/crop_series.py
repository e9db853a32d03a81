"""Crops of held-out clips as the model makes them, round after round, for a page to slide through."""

import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fedvsr_core.checkpoints.atomic import storing, write_atomically
from fedvsr_core.data.clips import Clip, Frames
from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.errors import CheckpointError
from fedvsr_core.json_text import parse_json
from fedvsr_core.printable import printable
from server_app.records.crops import most_detailed

_log = logging.getLogger(__name__)

SIDE = 128
"""Pixels of a crop, height and width."""
FRAMES = 12
"""Of a clip that moves."""
CLIPS = 4
"""At most."""
ROUNDS = 12
"""Of which crops are kept, about; they are evenly spread over the run."""
INDEX, TRUTH, BICUBIC, NEWEST = "crops.json", "truth.webp", "bicubic.webp", "newest.webp"
_ROUND = "round-{:05d}.webp"
_QUALITY = 92


class CropSeries:
    """Watches what the model makes of held-out frames, and keeps a crop of each of a few clips.

    A picture holds a row for each clip. Those of a round have the middle frame alone; the truth, bicubic and
    the newest round have several frames beside each other.

    Args:
        folder: Where to; made if it doesn't exist.
        clips: The held-out clips, with their low-resolution frames.
        rounds: Rounds of the whole run.
    """

    def __init__(self, folder: Path, clips: Sequence[Clip], rounds: int) -> None:
        self._folder = folder
        self._clips = {clip.name: clip for clip in clips[:CLIPS]}
        self._every = math.ceil(rounds / ROUNDS)
        self._rounds = rounds
        side = min(SIDE, *(size for clip in self._clips.values() for size in clip.high.shape[1:3]))
        self._side = side
        self._frames = min(FRAMES, *(len(clip) for clip in self._clips.values()))
        self._first = {name: (len(clip) - self._frames) // 2 for name, clip in self._clips.items()}
        self._still = self._frames // 2
        self._places = {
            name: most_detailed(clip.high[self._first[name] + self._still], side)
            for name, clip in self._clips.items()
        }
        self._seen: dict[tuple[str, int], Frames] = {}

    def see(self, clip: str, number: int, frame: Frames) -> None:
        """Take a look at an upscaled frame (H, W, 3), the ``number``-th of a clip."""
        if clip in self._clips and 0 <= number - self._first[clip] < self._frames:
            self._seen[clip, number - self._first[clip]] = self._crop(clip, frame)

    def keep(self, server_round: int) -> None:
        """Write what was seen since the last time as the crops of a round; a run goes on without them."""
        seen, self._seen = self._seen, {}
        try:
            self._keep(server_round, seen)
        except OSError as error:
            _log.warning("the crops of round %d can't be written: %s", server_round, error)

    def _keep(self, server_round: int, seen: Mapping[tuple[str, int], Frames]) -> None:
        if len(seen) < len(self._clips) * self._frames:
            return
        if not (self._folder / INDEX).exists():
            self._begin()
        columns = range(self._frames)
        for number, path in rounds_of(self._folder).items():
            if number > server_round or number % self._every:  # of before a resume, or of the last round
                path.unlink()
        moving = [[seen[clip, frame] for frame in columns] for clip in self._clips]
        self._write(_ROUND.format(server_round), [[row[self._still]] for row in moving])
        self._write(NEWEST, moving)

    def _begin(self) -> None:
        with storing(self._folder):
            self._folder.mkdir(exist_ok=True)
        truth, bicubic = [], []
        for name, clip in self._clips.items():
            frames = range(self._first[name], self._first[name] + self._frames)
            truth.append([self._crop(name, clip.high[frame]) for frame in frames])
            bicubic.append([self._crop(name, self._bicubic(clip, frame)) for frame in frames])
        self._write(TRUTH, truth)
        self._write(BICUBIC, bicubic)
        about = {"side": self._side, "frames": self._frames, "still": self._still, "clips": list(self._clips)}
        write_atomically(self._folder / INDEX, json.dumps(about).encode())

    def _bicubic(self, clip: Clip, frame: int) -> Frames:
        if clip.low is None:
            return np.asarray(clip.high[frame])
        return bicubic_up(clip.low[frame], clip.high.shape[1] // clip.low.shape[1])

    def _crop(self, clip: str, frame: Frames) -> Frames:
        row, column = self._places[clip]
        return np.array(frame[row : row + self._side, column : column + self._side])

    def _write(self, name: str, rows: Sequence[Sequence[Frames]]) -> None:
        write_atomically(self._folder / name, sheet(rows))


def sheet(rows: Sequence[Sequence[Frames]]) -> bytes:
    """A picture of crops of one size (S, S, 3), as WebP."""
    pixels = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="WEBP", quality=_QUALITY, method=4)
    return written.getvalue()


@dataclass(frozen=True)
class Index:
    """What the pictures of a folder hold.

    Attributes:
        side: Pixels of a crop, height and width.
        frames: Beside each other in a picture that moves.
        still: Which of them the other pictures have.
        clips: Names, from the top.
    """

    side: int
    frames: int
    still: int
    clips: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> "Index":
        """Read a folder's.

        Raises:
            CheckpointError: If it is damaged.
        """
        path = folder / INDEX
        try:
            about = parse_json(path.read_bytes())
            clips = tuple(map(str, about["clips"]))
            index = cls(int(about["side"]), int(about["frames"]), int(about["still"]), clips)
            bounds = (
                (index.side, SIDE),
                (index.frames, FRAMES),
                (len(clips), CLIPS),
                (index.still + 1, FRAMES),
            )
            if not all(0 < value <= most for value, most in bounds) or index.still >= index.frames:
                raise ValueError("a number in it can't be")
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise CheckpointError(
                f"'{path}' is damaged ({printable(str(error)):.100}); remove its folder, and the report has"
                " no crops"
            ) from error
        return index

    def check(self, path: Path, columns: int) -> Path:
        """See that a picture is one of these; returns it.

        Args:
            path: The picture.
            columns: Crops beside each other in it.

        Raises:
            CheckpointError: If it isn't.
        """
        expected = columns * self.side, len(self.clips) * self.side
        try:
            with Image.open(path, formats=("WEBP",)) as picture:
                size = picture.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise CheckpointError(f"'{path}' is no WebP picture; remove it") from error
        if size != expected:
            raise CheckpointError(
                f"'{path}' must have {expected[0]} x {expected[1]} pixels, has {size[0]} x {size[1]}; remove"
                " its folder, and the report has no crops"
            )
        return path


def side_by_side(folder: Path, server_round: int) -> Frames | None:
    """Bicubic, ours and the truth of a round, a row a clip; None if that round's crops aren't kept.

    Raises:
        CheckpointError: If they are damaged.
    """
    ours = rounds_of(folder).get(server_round)
    if ours is None or not (folder / INDEX).is_file():
        return None
    index = Index.read(folder)
    columns = slice(index.side * index.still, index.side * (index.still + 1))
    bicubic, truth = (
        _pixels(index.check(folder / name, index.frames))[:, columns] for name in (BICUBIC, TRUTH)
    )
    return np.concatenate([bicubic, _pixels(index.check(ours, 1)), truth], axis=1)


def _pixels(path: Path) -> Frames:
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise CheckpointError(f"'{path}' is damaged ({error}); remove it") from error


def rounds_of(folder: Path) -> dict[int, Path]:
    """The pictures of single rounds by round."""
    paths = sorted(folder.glob(_ROUND.replace("{:05d}", "*")))
    numbers = {path.stem.removeprefix("round-"): path for path in paths}
    return {int(number): path for number, path in numbers.items() if number.isdecimal()}
