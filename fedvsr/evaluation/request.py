"""What an evaluation is asked for, made ready and carried out."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fedvsr.evaluation.score_files import Scored
from fedvsr.evaluation.score_page import BICUBIC
from fedvsr.evaluation.videos import matching, videos_to_score
from fedvsr_core import devices
from fedvsr_core.checkpoints.pretrained import sha256_of
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.components import build, nearest
from fedvsr_core.data.degradation import Degradation, bicubic_up
from fedvsr_core.data.frames import Frame, read_frames
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.evaluation.videos import Restore, Video, score_video
from fedvsr_core.inference.tiles import WHOLE, Tiling
from fedvsr_core.inference.upscale import CONTEXT, upscale_frames
from fedvsr_core.metrics.names import METRICS, check_names
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.metrics.suite import Suite, Values
from fedvsr_core.models.contract import VideoModel
from server_app.config import compose, load_component, options
from server_app.records.provenance import versions

UPSCALED, MODEL = "upscaled", "model"
"""Ways to upscale besides `BICUBIC`: by somebody else, and by the checkpoint's model."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be scored, and how.

    Attributes:
        data: The ground truth, as `fedvsr.evaluation.videos.videos_to_score` finds it; None: there is none,
            and what was upscaled is scored by metrics that need none.
        protocol: A name of ``conf/protocol``, or a yaml file.
        metrics: Further metrics, which don't change the protocol's own.
        checkpoint: The model to score, or None.
        upscaled: Videos or folders of frames that were upscaled before, or None.
        bicubic: Whether bicubic interpolation is scored too.
        low: A name of ``conf/degradation``, which makes low-resolution frames; None: as the protocol says.
        low_frames: Low-resolution frames that came with the data, or None.
        scale: Factor; None: the model's, or 4.
        device: Where to compute, such as ``auto``.
        chunk: Frames that the network sees at once.
        tiling: How frames are cut for the network.
    """

    data: str | None
    protocol: str = "sample"
    metrics: tuple[str, ...] = ()
    checkpoint: Path | None = None
    upscaled: Path | None = None
    bicubic: bool = True
    low: str | None = None
    low_frames: Path | None = None
    scale: int | None = None
    device: str = "auto"
    chunk: int = 16
    tiling: Tiling = WHOLE


class Evaluation:
    """A request, ready: whatever can be refused is refused here, before a frame is scored.

    Args:
        request: What is asked for.

    Attributes:
        protocol: How it is scored, with the further metrics and the low-resolution frames.
        videos: The ground truth.
        first: Number of the first scored frame, by clip.

    Raises:
        ConfigurationError: If a name is unknown, scales differ, or nothing is to be scored.
        DataError: If videos are missing.
        MissingToolError: If a metric needs something that isn't here.
    """

    def __init__(self, request: Request) -> None:
        if request.data is None:
            request = _without_truth(request)
        self._request = request
        self._device = devices.choose(request.device)
        self._model = load_model(request.checkpoint) if request.checkpoint else None
        self._scale = _scale(self._model.scale if self._model else None, request.scale)
        self.protocol = _protocol(request)
        low = None if request.low_frames else self.protocol.low
        self._degradation = _degradation(low, self._scale) if low else None
        self._suite = Suite(self.protocol.metrics, border=self.protocol.border, device=self._device)
        self.videos = videos_to_score(
            request.data or str(request.upscaled),
            scale=self._scale,
            low=request.low_frames,
            degradation=self._degradation,
        )
        clips = [video.name for video in self.videos]
        self._upscaled = matching(request.upscaled, clips) if request.upscaled else {}
        self.first = {
            video.name: self.protocol.scored(video.frames, video.name).start for video in self.videos
        }
        self._restores = _restores(request, self._model, self._scale, self._device)
        if not self._restores and not request.upscaled:
            raise ConfigurationError(
                "nothing is to be scored; give --checkpoint or --upscaled, or allow bicubic"
            )

    def run(self, watch: Callable[[Video], Callable[[], object]]) -> Scored:
        """Score all videos.

        Args:
            watch: Called with each video in turn; what it returns is called after each frame.
        """
        began = time.monotonic()
        ways = [*([UPSCALED] if self._upscaled else []), *self._restores]
        values: dict[str, dict[str, Values]] = {way: {} for way in ways}
        for video in self.videos:
            for way, scores in self._score(video, watch(video)).items():
                values[way][video.name] = scores
        return Scored(self.protocol, self._about(time.monotonic() - began), self.first, values)

    def _score(self, video: Video, progress: Callable[[], object]) -> dict[str, Values]:
        return score_video(
            video,
            self._restores,
            {UPSCALED: read_frames(self._upscaled[video.name])} if self._upscaled else {},
            suite=self._suite,
            protocol=self.protocol,
            scale=self._scale,
            degradation=self._degradation,
            progress=progress,
        )

    def _about(self, seconds: float) -> dict[str, Any]:
        """How the scores were made."""
        request, model = self._request, self._model
        return {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": request.data,
            "low-resolution frames": _low(self.videos, request.low_frames, self.protocol)
            if request.data
            else None,
            "upscaled": str(request.upscaled) if request.upscaled else None,
            "checkpoint": str(request.checkpoint) if request.checkpoint else None,
            "checkpoint's sha256": sha256_of(request.checkpoint) if request.checkpoint else None,
            "model": f"{type(model).__name__}, scale {self._scale}" if model else None,
            "inference": _inference(request.chunk, request.tiling) if model else None,
            "made by": self._suite.made_by,
            "device": devices.describe(self._device),
            "seconds": round(seconds, 2),
            "frames": sum(video.frames for video in self.videos),
            "versions": versions(),
        }


def _without_truth(request: Request) -> Request:
    """The same, of frames as they are."""
    check_names(request.metrics or ["niqe"])
    comparing = [name for name in request.metrics if METRICS[name].reference]
    if comparing or not request.metrics or not request.upscaled or request.checkpoint:
        raise ConfigurationError(
            "without --data, give --upscaled and --metrics that need no ground truth, such as niqe"
            + (f"; got {', '.join(comparing)}" if comparing else "")
        )
    return replace(request, bicubic=False, scale=1)


def _scale(of_model: int | None, asked: int | None) -> int:
    if of_model and asked and of_model != asked:
        raise ConfigurationError(f"the checkpoint's model upscales by {of_model}, --scale says {asked}")
    return of_model or asked or 4


def _protocol(request: Request) -> Protocol:
    """The protocol, with the metrics and the low-resolution frames that are asked for."""
    if request.data is None:
        return Protocol(
            name="no-truth",
            metrics=request.metrics,
            border=0,
            frames="all",
            skip=0,
            averaging="clips",
            low=None,
        )
    name = request.protocol
    if Path(name).suffix in (".yaml", ".yml"):
        settings = load_component(Path(name))
    elif name in (known := options("protocol")):
        settings = compose({"overrides": f"protocol={name}"}).protocol
    else:
        raise ConfigurationError(f"there is no protocol '{name}'{nearest(name, known)}")
    protocol = build(settings)
    if not isinstance(protocol, Protocol):
        raise ConfigurationError(f"'{name}' must describe a protocol, got {type(protocol).__name__}")
    return replace(protocol.extended(request.metrics), low=request.low or protocol.low or "bi")


def _degradation(name: str, scale: int) -> Degradation:
    if name not in (known := options("degradation")):
        raise ConfigurationError(f"there is no degradation '{name}'{nearest(name, known)}")
    overrides = f"degradation={name} degradation.scale={scale}"
    degradation: Degradation = build(compose({"overrides": overrides}).degradation)
    return degradation


def _restores(
    request: Request, model: VideoModel | None, scale: int, device: torch.device
) -> dict[str, Restore]:
    """The ways to upscale low-resolution frames that are asked for."""
    restores: dict[str, Restore] = {}
    if request.bicubic:
        restores[BICUBIC] = partial(_bicubic, scale)
    if model:
        model.to(device).eval()
        restores[MODEL] = partial(
            upscale_frames, model, device=device, chunk=request.chunk, tiling=request.tiling
        )
    return restores


def _bicubic(scale: int, low: Iterable[Frame]) -> Iterator[Frame]:
    return (bicubic_up(frame, scale) for frame in low)


def _low(videos: list[Video], given: Path | None, protocol: Protocol) -> str:
    brought = sum(video.low is not None for video in videos)
    if given or not brought:
        return f"{given}, said to be {protocol.low}" if given else f"made by {protocol.low}"
    return f"{protocol.low}: those that came with the data for {brought} of {len(videos)} clips"


def _inference(chunk: int, tiling: Tiling) -> str:
    cut = f"tiles of {tiling.size} pixels, overlap {tiling.overlap}" if tiling.size else "whole frames"
    return f"{chunk} frames at once with {CONTEXT} more on either side, {cut}"
