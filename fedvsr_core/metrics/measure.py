"""How a metric is measured on a video that comes some frames at a time: by frame, by pair, or as a clip."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from fedvsr_core.metrics.per_frame import Frames, Scores
from fedvsr_core.metrics.perceptual import LPIPS
from fedvsr_core.metrics.vmaf import MODELS, PIXELS, VmafScorer, ffmpeg_version, find_ffmpeg, open_vmaf

Compare = Callable[[Frames, Frames], Any]
"""From output and ground truth, each (N, H, W, 3), to a score for each frame, or for a pair of frames."""


@dataclass(frozen=True)
class Conditions:
    """What all metrics of a suite share.

    Attributes:
        border: Pixels cut off on all four sides before PSNR and SSIM.
        device: Where metrics in torch compute.
    """

    border: int
    device: torch.device

    @cached_property
    def alex(self) -> LPIPS:
        """LPIPS with AlexNet, loaded once for all metrics that need it."""
        return LPIPS("alex", device=self.device)


class ClipScorer(Protocol):
    """One metric on one video."""

    def add(self, outputs: Frames, targets: Frames) -> None:
        """Take the next frames, uint8 (N, H, W, 3), RGB."""

    def values(self) -> Scores:
        """Scores (N,), or (N, K) of a metric with K values; nothing can be added afterwards."""


class Measure(Protocol):
    """One metric, ready to be used on any number of videos.

    Attributes:
        made_by: The tool and version that computes it, where that moves the numbers; else empty.
    """

    made_by: str

    def clip(self, fps: float) -> AbstractContextManager[ClipScorer]:
        """Start on a video of so many frames a second."""


@dataclass
class ByFrame:
    """A `Measure` that compares frames by themselves."""

    compare: Compare
    made_by: str = ""

    @contextmanager
    def clip(self, fps: float) -> Iterator[ClipScorer]:
        """As `Measure.clip`."""
        yield _Frames(self.compare)


@dataclass
class ByPair:
    """A `Measure` that compares a frame and the next one with those of the ground truth."""

    compare: Compare
    made_by: str = ""

    @contextmanager
    def clip(self, fps: float) -> Iterator[ClipScorer]:
        """As `Measure.clip`."""
        yield _Pairs(self.compare)


class ByVmaf:
    """The `Measure` of VMAF, whose library says its version only after a video."""

    def __init__(self) -> None:
        self.made_by = f"{MODELS[0]}, {PIXELS}, ffmpeg {ffmpeg_version(find_ffmpeg())}"

    @contextmanager
    def clip(self, fps: float) -> Iterator[ClipScorer]:
        """As `Measure.clip`."""
        with open_vmaf(fps) as scorer:
            yield _VmafClip(self, scorer)


class _Frames:
    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._values: list[Any] = []

    def add(self, outputs: Frames, targets: Frames) -> None:
        self._values += list(self._compare(outputs, targets))

    def values(self) -> Scores:
        return np.array(self._values, np.float64)


class _Pairs:
    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._values: list[Any] = []
        self._last: tuple[Frames, Frames] | None = None

    def add(self, outputs: Frames, targets: Frames) -> None:
        for output, target in zip(outputs, targets, strict=True):
            if self._last:
                self._values.append(
                    self._compare(np.stack([self._last[0], output]), np.stack([self._last[1], target]))
                )
            self._last = (output.copy(), target.copy())

    def values(self) -> Scores:
        return np.array(self._values, np.float64)


class _VmafClip:
    def __init__(self, measure: ByVmaf, scorer: VmafScorer) -> None:
        self._measure = measure
        self._scorer = scorer

    def add(self, outputs: Frames, targets: Frames) -> None:
        for output, target in zip(outputs, targets, strict=True):
            self._scorer.add(output, target)

    def values(self) -> Scores:
        result = self._scorer.result()
        self._measure.made_by = f"{result.model}, {PIXELS}, libvmaf {result.libvmaf}, ffmpeg {result.ffmpeg}"
        return result.per_frame
