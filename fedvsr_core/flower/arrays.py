"""Model weights as they travel: float arrays in, float arrays out."""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np
import torch
from flwr.app import Array, ArrayRecord
from torch import Tensor

NamedArrays = dict[str, np.ndarray]
"""Arrays by their name in the model's state dict."""


def travels(tensor: Tensor) -> bool:
    """Whether a tensor of a state dict is sent: integer and boolean buffers stay where they are."""
    return tensor.is_floating_point()


def to_record(state: Mapping[str, Tensor]) -> ArrayRecord:
    """Pack the floating-point tensors of a state dict; copies to the CPU."""
    return record_from_arrays(
        {name: tensor.detach().cpu().numpy() for name, tensor in state.items() if travels(tensor)}
    )


def record_from_arrays(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    """Pack named arrays; 0-d arrays stay arrays."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


def to_arrays(record: ArrayRecord) -> NamedArrays:
    """Unpack an ArrayRecord into numpy arrays."""
    return {name: array.numpy() for name, array in record.items()}


def to_state(record: ArrayRecord, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Complete received arrays with one's own tensors, those that didn't travel, to a full state dict."""
    return dict(own) | {name: torch.from_numpy(array.copy()) for name, array in to_arrays(record).items()}


def completed(arrays: Mapping[str, np.ndarray], form: ArrayRecord) -> ArrayRecord:
    """Pack arrays in the form of a model: its names and dtypes, zeros where ``arrays`` has none."""
    return record_from_arrays(
        {
            name: np.asarray(arrays[name], like.dtype) if name in arrays else np.zeros_like(like)
            for name, like in to_arrays(form).items()
        }
    )


def size_bytes(record: ArrayRecord) -> int:
    """Size of the arrays in bytes, as they travel."""
    return sum(len(array.data) for array in record.values())


def digest(record: ArrayRecord) -> str:
    """Hexadecimal digest of arrays as they travel, in the order of their names."""
    whole = blake2b(digest_size=16)
    for name in sorted(record):
        whole.update(f"{name}\0{len(record[name].data)}\0".encode())
        whole.update(record[name].data)
    return whole.hexdigest()
