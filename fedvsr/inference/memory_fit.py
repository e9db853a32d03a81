"""How large tiles may be: measured on a small one, for the memory that is free."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt

import psutil
import torch

from fedvsr_core.inference.tiles import WHOLE, Tiling
from fedvsr_core.inference.upscale import CONTEXT
from fedvsr_core.models.contract import VideoModel

CHUNK = 16
"""Frames upscaled at once where memory allows."""
_SIDE = 64
"""Height and width of the tile that is measured."""
_SHARE = 0.5
"""Of the free memory, what is used: the need isn't quite in proportion to the size."""
_SMALLEST = 96
"""Tiles that aren't smaller than this before fewer frames are taken at once."""


@dataclass(frozen=True)
class Fit:
    """What fits into memory.

    Attributes:
        chunk: Frames upscaled at once.
        tiling: How frames are cut.
    """

    chunk: int
    tiling: Tiling


class Need:
    """How much memory a network needs, as a small tile shows.

    It is measured once, before anything is upscaled: later, memory that the process has had already is used
    again, and it hardly grows.

    Args:
        model: The network, on the device.
        device: Where it computes.
    """

    def __init__(self, model: VideoModel, device: torch.device) -> None:
        self._model = model
        self.device = device

    @functools.cached_property
    def bytes_a_pixel(self) -> float:
        """Bytes for each low-resolution pixel of each frame."""
        frames = CHUNK + 2 * CONTEXT
        with torch.inference_mode(), _peak(self.device) as peak:
            self._model(torch.zeros(1, frames, 3, _SIDE, _SIDE, device=self.device))
        return max(peak(), 1) / (frames * _SIDE**2)

    def fit(
        self, height: int, width: int, *, chunk: int | None = None, overlap: int = 16, free: int | None = None
    ) -> Fit:
        """Choose the largest tiles that fit, whole frames if possible.

        Args:
            height: Of the frames, in pixels.
            width: Of the frames, in pixels.
            chunk: Frames upscaled at once; None: `CHUNK`, or fewer where tiles would become very small.
            overlap: Pixels that tiles share.
            free: Free memory in bytes; None: as the device or the system says.
        """
        each, budget = self.bytes_a_pixel, _SHARE * (_free(self.device) if free is None else free)
        taken = chunk or CHUNK
        while True:
            frames = taken + 2 * CONTEXT
            kept = 8 * 3 * self._model.scale**2 * height * width * frames
            kept = 0 if self.device.type == "cuda" else kept
            side = int(sqrt(max(budget - kept, 0) / (each * frames))) // 8 * 8
            if side >= _SMALLEST or side**2 >= height * width or chunk is not None or taken == 1:
                break
            taken //= 2
        if max(side, _SIDE) ** 2 >= height * width:
            return Fit(taken, WHOLE)
        return Fit(taken, Tiling(max(side, 2 * overlap + 8), overlap))


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


@contextmanager
def _peak(device: torch.device) -> Iterator[Callable[[], int]]:
    """The most memory that a block takes, in bytes: of CUDA as its allocator counts, else of this process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
        return
    process, stop = psutil.Process(), threading.Event()
    before = largest = process.memory_info().rss

    def watch() -> None:
        nonlocal largest
        while not stop.wait(0.002):
            largest = max(largest, process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: largest - before
    finally:
        stop.set()
        thread.join()
