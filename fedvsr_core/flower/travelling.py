"""What travels in a round, and the digest of the weights that don't.

Server and clients both call these functions, and so agree on what is sent: parameters that learn in this
round, and floating-point buffers that may change. The other weights are the same everywhere from the start:
each client makes them itself, from the seed or from files of weights, and compares their digest with the
server's.
"""

from hashlib import blake2b

from torch import Tensor

from fedvsr_core.models.contract import VideoModel


def travelling(model: VideoModel, *, frozen: bool) -> dict[str, Tensor]:
    """What is sent, trained and aggregated: a part of the state dict.

    Args:
        model: The network.
        frozen: Whether its late parameters stay as they are.
    """
    stay = model.unused_parameters | model.constants | set(model.late_parameters() if frozen else ())
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name not in stay and tensor.is_floating_point()
    }


def frozen_digest(model: VideoModel, *, frozen: bool) -> str:
    """Hexadecimal digest of the weights that don't travel but are used; equal digests mean equal values.

    Args:
        model: The network.
        frozen: Whether its late parameters stay as they are.
    """
    sent, digest = travelling(model, frozen=frozen), blake2b(digest_size=16)
    for name, tensor in model.state_dict().items():
        if name not in sent and name not in model.unused_parameters:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
