"""One job of an upscaler: a video in, a larger one out, whole or not at all."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from fedvsr.inference.frame_writer import Output, open_writer
from fedvsr.inference.memory_fit import Fit, Need
from fedvsr.inference.sources import Source
from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.inference.upscale import CONTEXT, upscale_frames
from fedvsr_core.models.contract import VideoModel

AnyFrame = npt.NDArray[Any]
_CROP = 64
"""Height and width of the crop that is compared, in low-resolution pixels."""


@dataclass(frozen=True)
class Network:
    """What upscales.

    Attributes:
        model: In evaluation mode, on the device.
        device: Where it computes.
        sha256: Of its file.
        need: How much memory it needs.
    """

    model: VideoModel
    device: torch.device
    sha256: str
    need: Need


@dataclass(frozen=True)
class Done:
    """What became of a job.

    Attributes:
        frames: Frames written.
        height: Their height in pixels.
        width: Their width in pixels.
        resumed: Frames among them that an earlier job had written.
        seconds: How long it took.
        left_out: What the output can't hold of what lay beside the frames.
    """

    frames: int
    height: int
    width: int
    resumed: int
    seconds: float
    left_out: list[str]


def run_job(
    source: Source,
    output: Output,
    network: Network,
    fit: Fit,
    *,
    size: tuple[int, int],
    deep: bool,
    side_by_side: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] = lambda number: None,
) -> Done:
    """Upscale a source.

    Args:
        source: What to read.
        output: What to write.
        network: What upscales.
        fit: Chunks and tiles.
        size: Height and width of the output; frames of the network that have another are resampled.
        deep: Whether frames are of 16 bits on their way.
        side_by_side: Whether bicubic interpolation is shown to the left.
        overwrite: Whether to replace what is there.
        resume: Whether to go on where an interrupted job stopped.
        about: What the job depends on.
        progress: Called with the number of frames written.

    Raises:
        DataError: If something can't be read or written.
        MemoryError: If there isn't enough memory.
    """
    began = time.monotonic()
    with open_writer(output, overwrite=overwrite, resume=resume, chunk=fit.chunk, about=about) as writer:
        resumed = writer.done
        before = min(CONTEXT, resumed)
        frames: Iterable[AnyFrame] = (
            source.read(resumed - before, deep=deep) if resumed < source.frames else ()
        )
        frames, lows = tee(frames) if side_by_side else (frames, ())
        highs = upscale_frames(
            network.model,
            frames,
            device=network.device,
            chunk=fit.chunk,
            tiling=fit.tiling,
            before=before,
            deep=deep,
        )
        lows = _after(lows, before)
        height, width = size
        for high in highs:
            frame = high
            if side_by_side:
                left = bicubic_up(_shallow(next(lows)), network.model.scale)
                frame = np.hstack([left, _shallow(high)])
            writer.write(resampled(frame, height, width))
            progress(writer.done)
    return Done(writer.done, height, width, resumed, time.monotonic() - began, writer.left_out)


def resampled(frame: AnyFrame, height: int, width: int) -> AnyFrame:
    """A frame in another size: by areas where it shrinks, by Lanczos' filter where it grows."""
    if frame.shape[:2] == (height, width):
        return frame
    how = cv2.INTER_AREA if height < frame.shape[0] else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how))


def compare_crops(source: Source, network: Network, fit: Fit, path: Path) -> None:
    """Write the crop with most detail of the middle frame as a PNG: bicubic left, the network right."""
    middle = source.frames // 2
    first = max(middle - CONTEXT, 0)
    frames = [frame for frame, _ in zip(source.read(first, deep=False), range(2 * CONTEXT + 1), strict=False)]
    highs = list(
        upscale_frames(network.model, frames, device=network.device, chunk=fit.chunk, tiling=fit.tiling)
    )
    low, high = frames[middle - first], highs[middle - first]
    grey = cv2.cvtColor(low, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side_y, side_x = min(_CROP, low.shape[0]), min(_CROP, low.shape[1])
    detail = cv2.boxFilter(cv2.Laplacian(grey, cv2.CV_32F) ** 2, -1, (side_x, side_y))
    y, x = np.unravel_index(int(detail.argmax()), detail.shape)
    top = min(max(int(y) - side_y // 2, 0), low.shape[0] - side_y)
    left = min(max(int(x) - side_x // 2, 0), low.shape[1] - side_x)
    scale = network.model.scale
    rows, columns = (
        slice(scale * start, scale * (start + side)) for start, side in ((top, side_y), (left, side_x))
    )
    pair = np.hstack([image[rows, columns] for image in (bicubic_up(low, scale), high)])
    _, png = cv2.imencode(".png", cv2.cvtColor(pair, cv2.COLOR_RGB2BGR))
    path.write_bytes(png.tobytes())


def _after(frames: Iterable[AnyFrame], number: int) -> Iterator[AnyFrame]:
    for place, frame in enumerate(frames):
        if place >= number:
            yield frame


def _shallow(frame: AnyFrame) -> AnyFrame:
    return frame if frame.dtype == np.uint8 else np.asarray((frame.astype(np.uint32) + 128) // 257, np.uint8)
