"""Scores of a model on clips that no client trains on, and those of bicubic interpolation to compare with."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import psutil
import torch

from fedvsr_core.components import build
from fedvsr_core.data.clips import Clip, Frames
from fedvsr_core.data.degradation import Degradation, bicubic_up
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import ConfigurationError, DataError
from fedvsr_core.evaluation.kept_scores import kept_or_computed
from fedvsr_core.evaluation.videos import Restore, Video, score_video
from fedvsr_core.inference.upscale import upscale_frames
from fedvsr_core.metrics.average import Mean, dataset_means, plain
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.metrics.suite import Suite, Values
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import ClientSettings, Settings

Scores = dict[str, Any]
"""Means over clips by metric (such as ``psnr-y``), and under ``clips`` the same for each clip."""

Onlooker = Callable[[str, int, Frames], object]
"""Is shown each upscaled frame (H, W, 3) that is scored, with its clip and its number."""


@dataclass(frozen=True)
class Sample:
    """One frame of a held-out clip, three times; all of shape (H, W, 3), uint8 RGB.

    Attributes:
        name: The clip.
        bicubic: Upscaled by bicubic interpolation.
        ours: Upscaled by the model.
        truth: The ground truth.
    """

    name: str
    bicubic: Frames
    ours: Frames
    truth: Frames


class HeldOut:
    """The held-out clips of a run, decoded and degraded once; bicubic's scores are kept for other runs.

    Args:
        shots: What to score on.
        degradation: Makes the low-resolution frames.
        chunk: Frames that the network sees at once.
        device: Where to compute.
        protocol: What is measured, and how.

    Raises:
        DataError: If there are no shots, or more than fit into memory.
        MissingToolError: If a metric needs something that isn't here.
        ShapeError: If a metric can't score frames of their size.
    """

    def __init__(
        self,
        shots: Iterable[Shot],
        *,
        degradation: Degradation,
        chunk: int,
        device: torch.device,
        protocol: Protocol,
    ) -> None:
        self._suite = Suite(protocol.metrics, border=protocol.border, device=device)
        shots = list(shots)
        needed, free = sum(math.prod(shot.high.shape) for shot in shots), psutil.virtual_memory().available
        if needed > free:
            raise DataError(
                f"the {len(shots)} held-out clips take {needed / 2**30:.3g} GB as frames, but"
                f" {free / 2**30:.1f} GB are free on this machine; hold out fewer or shorter ones"
            )
        self._clips = [shot.degraded(degradation).clip() for shot in shots]
        if not self._clips:
            raise DataError(
                "expected held-out clips to score the model on, got none; name a folder of them, for example"
                " data.held_out_folder=/absolute/folder"
            )
        self._chunk = chunk
        self._device = device
        self.protocol = protocol
        facts = {"protocol": protocol.facts(), "made-by": self.made_by, "device": device.type}
        self._bicubic = kept_or_computed(self._clips, facts, self._values_of_bicubic)
        self.bicubic = self._scores(self._bicubic)

    def score(
        self, model: VideoModel, *, headline_only: bool = False, onlooker: Onlooker | None = None
    ) -> Scores:
        """Score a model; moves it to the device and into evaluation mode.

        Args:
            model: The network.
            headline_only: Whether the protocol's headline is measured alone.
            onlooker: Who sees what the model makes.
        """
        suite = self._suite.only(self.protocol.headline) if headline_only else self._suite
        return self._scores(self._values(model, suite, onlooker))

    def sums(self, model: VideoModel) -> dict[str, Mapping[str, Mean]]:
        """Sums over the clips that can be added to those of others, of ``model`` and of ``bicubic``."""
        both = {"model": self._values(model, self._suite), "bicubic": self._bicubic}
        return {name: dataset_means(values, self.protocol.averaging) for name, values in both.items()}

    @property
    def made_by(self) -> dict[str, str]:
        """By metric, the tool and version behind it, where that moves the numbers."""
        return self._suite.made_by

    @property
    def digest(self) -> str:
        """Of what they show, 16 hexadecimal digits: whether scores are of the same frames."""
        digest = sha256()
        for clip in self._clips:
            digest.update(f"{clip.name}\0{clip.high.shape}\0".encode())
            digest.update(clip.high.tobytes())
        return digest.hexdigest()[:16]

    @property
    def footage(self) -> list[Clip]:
        """The clips themselves, with their low-resolution frames."""
        return list(self._clips)

    @property
    def clips(self) -> int:
        """How many clips there are."""
        return len(self._clips)

    @property
    def frames(self) -> int:
        """How many of their frames are scored."""
        return sum(len(self.protocol.scored(len(clip), clip.name)) for clip in self._clips)

    def samples(self, model: VideoModel) -> list[Sample]:
        """The middle frame of each clip: bicubic, of the model, and as it should be."""
        model.to(self._device).eval()
        samples = []
        for clip in self._clips:
            middle = len(clip) // 2
            first = max(middle - self._chunk // 2, 0)
            ours = self._restore(model, _low(clip)[first : first + self._chunk])[middle - first]
            bicubic = bicubic_up(_low(clip)[middle], _scale(clip))
            samples.append(Sample(clip.name, bicubic, ours, clip.high[middle]))
        return samples

    def _values(self, model: VideoModel, suite: Suite, onlooker: Onlooker | None = None) -> list[Values]:
        model.to(self._device).eval()
        restore = partial(upscale_frames, model, device=self._device, chunk=self._chunk)
        return [
            self._score(clip, partial(_shown, restore, clip.name, onlooker) if onlooker else restore, suite)
            for clip in self._clips
        ]

    def _values_of_bicubic(self) -> list[Values]:
        return [self._score(clip, partial(_bicubic, _scale(clip)), self._suite) for clip in self._clips]

    def _score(self, clip: Clip, restore: Restore, suite: Suite) -> Values:
        video = Video(clip.name, len(clip), lambda: iter(clip.high), lambda: iter(_low(clip)))
        return score_video(video, {"": restore}, {}, suite=suite, protocol=self.protocol, scale=_scale(clip))[
            ""
        ]

    def _scores(self, values: Sequence[Values]) -> Scores:
        clips = {
            clip.name: plain({name: Mean.of(scores) for name, scores in of_clip.items()})
            for clip, of_clip in zip(self._clips, values, strict=True)
        }
        return {**plain(dataset_means(values, self.protocol.averaging)), "clips": clips}

    def _restore(self, model: VideoModel, low: Frames) -> Frames:
        return np.stack(list(upscale_frames(model, low, device=self._device, chunk=self._chunk)))


def build_held_out(
    settings: Settings | ClientSettings, shots: Iterable[Shot], device: torch.device
) -> HeldOut:
    """The held-out clips as a configuration says: degraded, and scored by its protocol.

    Args:
        settings: The server's, or those that it sends to clients.
        shots: What to score on.
        device: Where to compute.

    Raises:
        ConfigurationError: As `protocol_of`.
        DataError: As `HeldOut`, as are the others.
    """
    return HeldOut(
        shots,
        degradation=build(settings.degradation),
        chunk=settings.evaluation.chunk,
        device=device,
        protocol=protocol_of(settings),
    )


def protocol_of(settings: Settings | ClientSettings) -> Protocol:
    """The protocol that a configuration names, with its further metrics, on the frames that it degrades.

    Raises:
        ConfigurationError: If it isn't one, or is defined on low-resolution frames of another kind.
    """
    protocol = build(settings.protocol)
    if not isinstance(protocol, Protocol):
        raise ConfigurationError(f"protocol must be a Protocol, got {type(protocol).__name__}")
    return protocol.extended(settings.evaluation.metrics).on(settings.names["degradation"])


def _bicubic(scale: int, low: Iterable[Frames]) -> Iterable[Frames]:
    return (bicubic_up(frame, scale) for frame in low)


def _shown(restore: Restore, clip: str, onlooker: Onlooker, low: Iterator[Frames]) -> Iterator[Frames]:
    for number, frame in enumerate(restore(low)):
        onlooker(clip, number, frame)
        yield frame


def _low(clip: Clip) -> Frames:
    if clip.low is None:
        raise DataError(f"clip '{clip.name}' has no low-resolution frames")
    return clip.low


def _scale(clip: Clip) -> int:
    return int(clip.high.shape[1] // _low(clip).shape[1])
