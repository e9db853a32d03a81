"""In which floating-point format a network computes, and what else a CUDA device is told for speed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch

Precision = Literal["float32", "tf32", "bfloat16", "float16"]


def autocast(precision: Precision, device: torch.device) -> torch.autocast | ExitStack:
    """What the forward pass of a network runs in: lower precision where torch holds that safe, or nothing."""
    if precision in ("float32", "tf32"):
        return ExitStack()
    return torch.autocast(device.type, getattr(torch, precision))


@contextmanager
def fast_kernels(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let a CUDA device choose the fastest kernels that the precision allows; nothing else changes.

    ``float32`` is exact: torch's own default lets convolutions round to the 10 bits of TF32. The others let
    all products round so. Crops are all of one size, so that trying each kernel once pays.

    Args:
        precision: Of training.
        device: Where it runs.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32 = cudnn.allow_tf32 = precision != "float32"
    cudnn.benchmark = True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
