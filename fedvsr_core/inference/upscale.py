"""Upscaling a stream of frames in constant memory."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from fedvsr_core.data.clips import Frames
from fedvsr_core.data.frames import Frame
from fedvsr_core.inference.tiles import WHOLE, Tiling, restore_tiled
from fedvsr_core.models.contract import VideoModel

CONTEXT = 4
"""Frames on both sides of a chunk that the network sees and that are thrown away afterwards."""


def upscale_frames(
    model: VideoModel,
    frames: Iterable[Frame],
    *,
    device: torch.device,
    chunk: int,
    tiling: Tiling = WHOLE,
) -> Iterator[Frame]:
    """Upscale a video, a chunk of frames at a time.

    Args:
        model: Network in evaluation mode, on ``device``.
        frames: Low-resolution frames (H, W, 3), RGB uint8, all of one size.
        device: Where to compute.
        chunk: Frames that are upscaled at once, >= 1; the network sees `CONTEXT` more on either side.
        tiling: Cuts large frames into tiles.

    Yields:
        Frames (sH, sW, 3), RGB uint8, as many as came in and in their order.
    """
    for window, before, new in _windows(frames, chunk):
        high = _restore(model, np.stack(window), device, tiling)
        for frame in high[before : before + new]:
            yield _to_uint8(frame)


def _windows(frames: Iterable[Frame], chunk: int) -> Iterator[tuple[list[Frame], int, int]]:
    """Yield consecutive frames, the number of context frames before the chunk, and the chunk's length."""
    incoming, window, before = iter(frames), list[Frame](), 0
    while True:
        window += islice(incoming, before + chunk + CONTEXT - len(window))
        new = min(chunk, len(window) - before)
        if new == 0:
            return
        yield window, before, new
        surplus = max(before + new - CONTEXT, 0)
        window, before = window[surplus:], before + new - surplus


@torch.inference_mode()
def _restore(model: VideoModel, low: Frames, device: torch.device, tiling: Tiling) -> Tensor:
    """Run the network: (T, H, W, 3) -> (T, 3, sH, sW), left on the device if it was whole there."""
    clip = torch.from_numpy(low).permute(0, 3, 1, 2)[None].float() / 255
    return restore_tiled(lambda tile: model(tile.to(device)), clip, scale=model.scale, tiling=tiling)[0]


@torch.inference_mode()
def _to_uint8(frame: Tensor) -> Frame:
    """Round where the frame is: a quarter of the bytes leave the device."""
    rounded = (frame.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.asarray(rounded.permute(1, 2, 0).contiguous().cpu().numpy())
