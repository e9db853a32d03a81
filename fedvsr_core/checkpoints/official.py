"""Published weights, from the containers of the families that publish them.

BasicSR's files hold the weights under ``params``, and their moving average under ``params_ema``; mmediting's
and mmagic's under ``state_dict``, each name after ``generator.``; weights saved in data-parallel training
have ``module.`` before each name. Files are read without running any code that may be in them.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor

from fedvsr_core.checkpoints.store import EXTRA, check_fit
from fedvsr_core.errors import CheckpointError
from fedvsr_core.models.size import check_file_size

ENTRIES = ("params_ema", "params", "state_dict")
"""Where weights are looked for, in this order; else the file must be the state dict itself."""

_GENERATOR, _PARALLEL = "generator.", "module."
_OF_THE_TRAINING = ("step_counter", "data_preprocessor.")
"""Prefixes of what mmediting and mmagic save in addition to the network."""


@dataclass(frozen=True)
class Published:
    """What a file of published weights holds.

    Attributes:
        state: The weights, by the names of the file without their prefixes.
        entry: The entry of the file that they were under; empty if there was none.
    """

    state: dict[str, Tensor]
    entry: str


def read_published(path: Path, entry: str | None = None) -> Published:
    """Read weights that this project or another one wrote.

    Args:
        path: A file of safetensors or of ``torch.save``.
        entry: Which entry to take, or None for the first of `ENTRIES` that is there.

    Raises:
        CheckpointError: If the file is missing, damaged or holds something else than tensors.
    """
    content = _load(path)
    if entry is None:
        entry = next((name for name in ENTRIES if isinstance(content.get(name), Mapping)), "")
    elif not isinstance(content.get(entry), Mapping):
        raise CheckpointError(f"'{path}' has no entry '{entry}'; there are: {_names(list(content))}")
    weights = content[entry] if entry else content
    others = [name for name, weight in weights.items() if not (isinstance(name, str) and _is_plain(weight))]
    if others or not weights:
        raise CheckpointError(
            f"'{path}' must hold plain tensors by name, or have them under {', '.join(ENTRIES)};"
            f" got {_names(others) or 'nothing'}"
        )
    return Published(_without_prefixes(weights), entry)


def convert_weights(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], rename: Callable[[str], str] = str
) -> dict[str, Tensor]:
    """Convert weights to the names and types of the network they are meant for.

    Args:
        state: The weights, by names of their family.
        own: The network's state dict.
        rename: From a name of their family to the network's.

    Returns:
        A complete state dict, each tensor of the dtype it has in ``own``.

    Raises:
        CheckpointError: If names are missing or left over, or shapes differ; lists all of them.
    """
    renamed = _renamed(state, rename)
    check_fit(renamed, own, shown=None)
    return {name: renamed[name].to(tensor.dtype) for name, tensor in own.items()}


def _load(path: Path) -> dict[Any, Any]:
    check_file_size(path)
    try:
        if path.suffix == ".safetensors":
            return {name: tensor for name, tensor in load_file(path).items() if not name.startswith(EXTRA)}
        _refuse_bomb(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"no file of weights at '{path}': {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"'{path}' is damaged, or holds more than tensors and could run code; have its owner save the"
            f" state dict alone"
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # what a damaged pickle makes of the objects that it names can raise anything
        raise CheckpointError(f"'{path}' is damaged or no file of weights: {error!r:.300}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' must hold a state dict, got {type(content).__name__}")
    return content


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is: ``torch.save`` doesn't compress."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > path.stat().st_size:
            raise CheckpointError(
                f"'{path}' has {path.stat().st_size} bytes, but would unpack to {unpacked}; torch.save writes"
                " no such file"
            )


def _is_plain(weight: object) -> bool:
    """Whether it is a dense tensor with values."""
    return isinstance(weight, Tensor) and weight.layout is torch.strided and weight.device.type == "cpu"


def _without_prefixes(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    bare = _renamed(weights, lambda name: name.removeprefix(_PARALLEL))
    if any(name.startswith(_GENERATOR) for name in bare):
        bare = {name: tensor for name, tensor in bare.items() if not name.startswith(_OF_THE_TRAINING)}
    return _renamed(bare, lambda name: name.removeprefix(_GENERATOR).removeprefix(_PARALLEL))


def _renamed(weights: Mapping[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    renamed = {rename(name): tensor for name, tensor in weights.items()}
    if len(renamed) < len(weights):
        twice = [name for name in weights if rename(name) != name and rename(name) in weights]
        raise CheckpointError(f"the file has some weights twice: {', '.join(twice)} by another name too")
    return renamed


def _names(names: Sequence[object]) -> str:
    return ", ".join(f"{str(name)!r:.100}" for name in names[:10])
