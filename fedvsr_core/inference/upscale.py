"""Upscaling a stream of frames in constant memory."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.errors import CheckpointError
from fedvsr_core.inference.tiles import WHOLE, Tiling, restore_tiled
from fedvsr_core.models.contract import VideoModel

CONTEXT = 4
"""Frames on both sides of a chunk that the network sees and that are thrown away afterwards."""

_log = logging.getLogger(__name__)


def upscale_frames(
    model: VideoModel,
    frames: Iterable[npt.NDArray[Any]],
    *,
    device: torch.device,
    chunk: int,
    tiling: Tiling = WHOLE,
    before: int = 0,
    deep: bool = False,
) -> Iterator[npt.NDArray[Any]]:
    """Upscale a video, a chunk of frames at a time.

    When memory runs out, what was tried is tried again in smaller tiles, and so is all that follows.

    Args:
        model: Network in evaluation mode, on ``device``.
        frames: Low-resolution frames (H, W, 3), RGB uint8 or uint16, all of one size.
        device: Where to compute.
        chunk: Frames that are upscaled at once, >= 1; the network sees `CONTEXT` more on either side.
        tiling: Cuts large frames into tiles.
        before: So many frames come first that are only to be seen, `CONTEXT` at most.
        deep: Whether frames are given back as uint16.

    Yields:
        Frames (sH, sW, 3), RGB uint8 or uint16, as many as came in but those before, in their order.

    Raises:
        MemoryError: If memory is too small for the smallest tiles.
        CheckpointError: If what the network makes isn't finite.
    """
    for window, ahead, new in _windows(frames, chunk, before):
        low = np.stack(window)
        while True:
            try:
                high = _restore(model, low, device, tiling, wanted=slice(ahead, ahead + new))
                break
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
            tiling = tiling.smaller(max(low.shape[1:3]))
            torch.cuda.empty_cache()
            _log.warning("memory ran out: going on with tiles of %d pixels", tiling.size)
        # All before the first is given away: torch's threads wait by spinning, and would take the cores from
        # whoever encodes each frame if they were called between two of them.
        rounded = [_rounded(frame, deep=deep) for frame in high]
        del high
        yield from rounded


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; the allocator of the CPU says so in words only."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        word in str(error).lower() for word in words
    )


def _windows(
    frames: Iterable[npt.NDArray[Any]], chunk: int, before: int
) -> Iterator[tuple[list[npt.NDArray[Any]], int, int]]:
    """Yield consecutive frames, the number of context frames before the chunk, and the chunk's length."""
    incoming, window = iter(frames), list[npt.NDArray[Any]]()
    while True:
        window += islice(incoming, before + chunk + CONTEXT - len(window))
        new = min(chunk, len(window) - before)
        if new <= 0:
            return
        yield window, before, new
        surplus = max(before + new - CONTEXT, 0)
        window, before = window[surplus:], before + new - surplus


@torch.inference_mode()
def _restore(
    model: VideoModel, low: npt.NDArray[Any], device: torch.device, tiling: Tiling, *, wanted: slice
) -> Tensor:
    """Run the network: (T, H, W, 3) -> (wanted of T, 3, sH, sW), left on the device if it was whole there."""
    largest = np.iinfo(low.dtype).max
    pixels = low if low.dtype == np.uint8 else low.astype(np.float32)
    clip = torch.from_numpy(pixels).permute(0, 3, 1, 2)[None].float() / largest
    frames = wanted.stop - wanted.start
    high = restore_tiled(
        lambda tile: model(tile.to(device), wanted), clip, scale=model.scale, tiling=tiling, frames=frames
    )[0]
    if not bool(high.isfinite().all()):  # it would be rounded to black
        raise CheckpointError(
            f"the network makes frames that aren't finite of a clip of {low.shape[2]}x{low.shape[1]};"
            " its weights are damaged, or too large: take another checkpoint"
        )
    return high


@torch.inference_mode()
def _rounded(frame: Tensor, *, deep: bool) -> npt.NDArray[Any]:
    """Round where the frame is, and in its place: a fraction of the bytes leave the device."""
    largest, kind = (65535, torch.int32) if deep else (255, torch.uint8)
    rounded = frame.clamp_(0, 1).mul_(largest).round_().to(kind).permute(1, 2, 0).contiguous().cpu().numpy()
    return np.asarray(rounded, np.uint16 if deep else np.uint8)
