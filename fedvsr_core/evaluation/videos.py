"""Scoring videos against their ground truth, a few frames at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import tee, zip_longest

import numpy as np

from fedvsr_core.data.clips import Frames
from fedvsr_core.data.degradation import Degradation, Place, modcrop
from fedvsr_core.data.frames import Frame
from fedvsr_core.errors import DataError, ShapeError
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.metrics.suite import Suite, SuiteScorer, Values

Restore = Callable[[Iterator[Frame]], Iterable[Frame]]
"""From low-resolution frames to as many high-resolution ones."""

_BATCH = 8
"""Frames that metrics see at once."""


@dataclass(frozen=True)
class Video:
    """A video to score on, decoded when it is asked for.

    Attributes:
        name: Unique among the videos of a dataset.
        frames: How many it has.
        high: Starts reading the ground truth, (sH, sW, 3) RGB uint8.
        low: Starts reading the low-resolution frames; None: they are made.
        fps: Frames a second, for VMAF.
    """

    name: str
    frames: int
    high: Callable[[], Iterable[Frame]]
    low: Callable[[], Iterable[Frame]] | None = None
    fps: float = 25


def score_video(
    video: Video,
    restores: Mapping[str, Restore],
    upscaled: Mapping[str, Iterable[Frame]],
    *,
    suite: Suite,
    protocol: Protocol,
    scale: int,
    degradation: Degradation | None = None,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, Values]:
    """Score one video, decoded once whatever is compared with it; memory doesn't grow with its length.

    Args:
        video: What to score on.
        restores: Ways to upscale its low-resolution frames, by name.
        upscaled: Frames that somebody has upscaled already, by name.
        suite: The metrics.
        protocol: Which frames count.
        scale: Factor; the ground truth is cropped to multiples of it at the bottom and right.
        degradation: Makes low-resolution frames for videos that don't have their own. One that looks at a
            clip as a whole needs all of it in memory.
        progress: Called after each frame.

    Returns:
        Values by name and metric.

    Raises:
        DataError: If lengths or sizes differ, or the protocol leaves no frame.
        ShapeError: If a metric can't score frames of this size.
    """
    wanted = protocol.scored(video.frames, video.name)
    targets: Iterator[Frame] = (modcrop(frame, scale) for frame in video.high())
    lows: Iterator[Frame] = iter(video.low() if video.low else ())
    if degradation and restores and not video.low:
        targets, sources = tee(targets)
        lows = _degraded(sources, degradation, video.name)
    copies = tee(lows, len(restores))
    outputs = {name: iter(frames) for name, frames in upscaled.items()}
    outputs |= {name: iter(restores[name](low)) for name, low in zip(restores, copies, strict=True)}
    try:
        return _scored(video, targets, outputs, suite, wanted, progress)
    except ShapeError as error:
        raise ShapeError(f"clip '{video.name}': {error}") from error


def _scored(
    video: Video,
    targets: Iterator[Frame],
    outputs: Mapping[str, Iterator[Frame]],
    suite: Suite,
    wanted: range,
    progress: Callable[[], object],
) -> dict[str, Values]:
    with ExitStack() as stack:
        scorers = {name: stack.enter_context(_scorer(suite, video.fps)) for name in outputs}
        number = -1
        for number, (target, *frames) in enumerate(zip_longest(targets, *outputs.values())):
            for (name, scorer), frame in zip(scorers.items(), frames, strict=True):
                _check(video, number, target, name, frame)
                if number in wanted:
                    scorer.add(frame, target)
            progress()
        if number + 1 != video.frames:
            raise DataError(
                f"clip '{video.name}' must have {video.frames} frames, but {number + 1} can be decoded;"
                " re-encode it or leave it out"
            )
        return {name: scorer.values() for name, scorer in scorers.items()}


def _degraded(frames: Iterator[Frame], degradation: Degradation, clip: str) -> Iterator[Frame]:
    if degradation.reach is None:
        batches: Iterable[Frames] = (np.stack(list(frames)),)
    else:
        batches = (frame[None] for frame in frames)
    first = 0
    for batch in batches:
        height, width = (size // degradation.scale for size in batch.shape[1:3])
        yield from degradation(batch, Place(clip, first, 0, 0, height, width))
        first += len(batch)


class _Buffer:
    """Gathers frames for a scorer, so that metrics see several at once."""

    def __init__(self, scorer: SuiteScorer) -> None:
        self._scorer = scorer
        self._frames: list[tuple[Frame, Frame]] = []

    def add(self, output: Frame, target: Frame) -> None:
        self._frames.append((output, target))
        if len(self._frames) == _BATCH:
            self._empty()

    def values(self) -> Values:
        if self._frames:
            self._empty()
        return self._scorer.values()

    def _empty(self) -> None:
        outputs, targets = zip(*self._frames, strict=True)
        self._scorer.add(np.stack(outputs), np.stack(targets))
        self._frames.clear()


@contextmanager
def _scorer(suite: Suite, fps: float) -> Iterator[_Buffer]:
    with suite.clip(fps) as scorer:
        yield _Buffer(scorer)


def _check(video: Video, number: int, target: Frame | None, name: str, frame: Frame | None) -> None:
    if target is None or frame is None:
        shorter, longer = ("the ground truth", name) if target is None else (name, "the ground truth")
        raise DataError(
            f"clip '{video.name}': {shorter} ends after {number} frames, {longer} goes on; both must have the"
            " same frames"
        )
    if frame.shape != target.shape:
        raise DataError(
            f"clip '{video.name}': frame {number} of {name} must be {target.shape[1]}x{target.shape[0]} as"
            f" the ground truth, cropped to multiples of the scale, got {frame.shape[1]}x{frame.shape[0]}"
        )
