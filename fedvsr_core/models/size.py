"""Whether this machine can hold a network at all, told without making it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from fedvsr_core.components import build
from fedvsr_core.errors import CheckpointError, ConfigurationError

COPIES = 4
"""Weights, gradients and both moments of Adam."""
MOST_TENSORS = 10_000
"""Parameters and buffers of a network; each of them costs time in every message. VRT has 1,542."""


def check_size(settings: Mapping[str, Any]) -> None:
    """Refuse a network that would not fit into the free memory of this machine.

    It is built on torch's device ``meta``, whose tensors have a shape and no memory; its parameters are
    counted as they come, so that a network without end is refused early.

    Args:
        settings: A network's, as plain JSON values.

    Raises:
        ConfigurationError: If it is too large, or its constructor refuses its arguments.
    """
    without_memory(settings)


def without_memory(settings: Mapping[str, Any], *, most: int = MOST_TENSORS) -> nn.Module:
    """The network on torch's device ``meta``: names and shapes, no values; raises as `check_size`.

    Args:
        settings: A network's, as plain JSON values.
        most: Parameters and buffers that it may have.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"), bounded(most):
        network: nn.Module = build(settings)
    return network


def check_file_size(path: Path) -> None:
    """Refuse a file of weights that wouldn't fit into the free memory of this machine.

    Raises:
        CheckpointError: If it is too large.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size > (free := psutil.virtual_memory().available):
        raise CheckpointError(
            f"'{path}' has {size / 2**30:.1f} GB, but {free / 2**30:.1f} GB of memory are free here"
        )


@contextmanager
def bounded(most: int = MOST_TENSORS) -> Iterator[None]:
    """Refuse weights beyond the free memory of this machine, while the block makes modules.

    They are counted when a module registers them, which is before it fills them with values.

    Raises:
        ConfigurationError: If they are too large, or too many.
    """
    free = psutil.virtual_memory().available
    tensors = numbers = size = 0

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal tensors, numbers, size
        if tensor is None:
            return
        tensors, numbers, size = tensors + 1, numbers + tensor.numel(), size + tensor.nbytes
        if COPIES * size > free:
            raise ConfigurationError(
                f"weights, gradients and moments of more than {numbers:.3g} parameters need"
                f" {COPIES * size / 2**30:.1f} GB and more, but {free / 2**30:.1f} GB are free here;"
                " make the network narrower or shallower"
            )
        if tensors > most:
            raise ConfigurationError(
                f"the network has more than {most} tensors of weights; make it shallower"
            )

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
