"""Upscaling in a script; for videos with their sound there is the command ``fedvsr upscale``."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedvsr_core.data.frames import read_frames
from fedvsr_core.errors import ShapeError
from fedvsr_core.inference.tiles import WHOLE, Tiling
from fedvsr_core.inference.upscale import upscale_frames
from fedvsr_core.models.contract import VideoModel

_DEPTHS = (np.uint8, np.uint16)

V = TypeVar("V", str | Path | npt.NDArray[Any], Tensor)


def upscale(
    video: V, model: VideoModel, *, chunk: int = 16, tile: int | None = None, tile_overlap: int = 16
) -> V:
    """Upscale a clip with a model, on the device where the model is.

    Args:
        video: The path of a video file or of a folder of images; or frames, uint8 or uint16 (T, H, W, 3) RGB;
            or a tensor (B, T, 3, H, W) or (T, 3, H, W), RGB in [0, 1].
        model: Such as `load_model` gives.
        chunk: Frames that the network sees at once, for paths and arrays. A tensor is upscaled as one.
        tile: Height and width of the tiles that frames are cut into, in their pixels, for paths and arrays;
            None: whole frames, or as memory allows.
        tile_overlap: Pixels that tiles share at least.

    Returns:
        For a path or frames, frames (T, sH, sW, 3) of the same dtype; for a tensor, one of its layout on the
        model's device, clamped to [0, 1].

    Raises:
        ShapeError: If what is given is no clip.
        DataError: If the path holds no video.
        MemoryError: If there isn't enough memory.
    """
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    model.eval()
    if isinstance(video, Tensor):
        return _upscaled_tensor(video, model, device)
    frames: Any = read_frames(Path(video).expanduser()) if isinstance(video, str | Path) else _checked(video)
    tiling = Tiling(tile, tile_overlap) if tile else WHOLE
    deep = not isinstance(video, str | Path) and video.dtype == np.uint16
    highs = upscale_frames(model, frames, device=device, chunk=chunk, tiling=tiling, deep=deep)
    return np.stack(list(highs))


@torch.inference_mode()
def _upscaled_tensor(low: Tensor, model: VideoModel, device: torch.device) -> Tensor:
    if low.ndim not in (4, 5) or not low.is_floating_point():
        raise ShapeError(
            "a tensor must be of floats in [0, 1] and of shape (B, T, 3, H, W) or (T, 3, H, W), got"
            f" {low.dtype} and {tuple(low.shape)}"
        )
    high: Tensor = model(low.to(device).view(-1, *low.shape[-4:])).clamp(0, 1)
    return high.view(*low.shape[:-4], *high.shape[1:])


def _checked(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if (
        frames.ndim != 4
        or frames.shape[3] != 3
        or frames.dtype not in (np.uint8, np.uint16)
        or not frames.size
    ):
        raise ShapeError(
            f"frames must be uint8 or uint16 of shape (T, H, W, 3), got {frames.dtype} and {frames.shape}"
        )
    return frames
