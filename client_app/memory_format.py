"""How a network uses memory while it trains."""

import torch

from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import Training


def set_memory_format(model: VideoModel, training: Training) -> None:
    """Set activation checkpointing, and the layout of the weights of two-dimensional convolutions, if asked.

    Neither changes what is computed but for rounding. What is saved and lost is measured by
    ``benchmarks/models.py``.

    Args:
        model: Changed in place.
        training: ``checkpointing`` and ``channels_last`` count.
    """
    if training.checkpointing:  # else as the model's own settings say
        model.checkpointing = True
    if training.channels_last:
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
