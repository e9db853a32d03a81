"""How much memory a training step takes, from shapes alone; the presets ``conf/experiment/*gb.yaml`` follow.

Imported by ``memory.py``, which prints the tables, and by the test that holds the presets to it.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from fedvsr_core.models.contract import VideoModel

_GB = 1e9
_COPIES = 4
"""Weights, gradients and both moments of Adam."""
PASSING_GB = {"vrt": 1.0, "vrt_16": 2.7, "rvrt": 1.0}
"""What operations take of one clip in passing, most of it attention matrices; estimated."""
_USABLE = 0.85
"""Of a GPU's memory: CUDA itself and fragments take the rest."""


def kept_gb(network: VideoModel, frames: int, patch: int) -> float:
    """What autograd keeps of one clip until the backward pass, each storage once.

    Found with tensors that have shapes and no content: exact for what is kept, and without what single
    operations take in passing.

    Args:
        network: In training mode; checkpointing counts.
        frames: Of the clip.
        patch: Its low-resolution height and width.
    """
    with FakeTensorMode() as fake:
        own = {
            name: fake.from_tensor(one)
            for name, one in (*network.named_parameters(), *network.named_buffers())
        }
        clip = torch.rand(1, frames, network.channels, patch, patch)
        return kept_bytes(lambda: functional_call(network, own, clip), own.values()) / _GB


def kept_bytes(forward: Callable[[], object], besides: Iterable[Tensor]) -> int:
    """Bytes that autograd keeps of a call, without those of some tensors."""
    left_out = {tensor.untyped_storage()._cdata for tensor in besides}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in left_out:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = forward()
    size = sum(storage.nbytes() for storage in kept.values())
    del output
    return size


def largest_batch(model: str, card_gb: float, *, parameters: int, kept: float) -> int:
    """The most clips a step that a GPU has room for; 0 if it has none for a single one.

    Args:
        model: One of `PASSING_GB`.
        card_gb: The GPU's memory.
        parameters: Of the network.
        kept: As `kept_gb` finds it, for one clip.
    """
    free = _USABLE * card_gb - _COPIES * 4 * parameters / _GB
    return max(int(free // (kept + PASSING_GB[model])), 0)
