"""Whether a network can be trained in the memory of this node at all, before that is tried."""

import psutil
import torch
from flwr.app import ArrayRecord

from fedvsr_core.flower.arrays import size_bytes

_COPIES = 4
"""Weights, gradients and both moments of Adam."""


def check_memory(arrays: ArrayRecord, device: torch.device) -> None:
    """Refuse a model that can't fit; what activations need in addition shows when training begins.

    Otherwise a system without memory kills the process, and the server learns of it a minute later.

    Args:
        arrays: The model.
        device: Where it is to be trained.

    Raises:
        MemoryError: If the device, or the machine for any but CUDA, has too little free memory.
    """
    needed = _COPIES * size_bytes(arrays)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise MemoryError(
            f"weights, gradients and moments need {needed / 2**20:.0f} MB, but {free / 2**20:.0f} MB are free"
            f" on {device}; free some, or leave this run"
        )
