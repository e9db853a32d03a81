"""Published weights, from the containers of the families that publish them.

BasicSR's files hold the weights under ``params``, and their moving average under ``params_ema``; mmediting's
and mmagic's under ``state_dict``, each name after ``generator.``; weights saved in data-parallel training
have ``module.`` before each name. Files are read without running any code that may be in them.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fedvsr_core.checkpoints.store import EXTRA, check_fit
from fedvsr_core.errors import CheckpointError

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
        raise CheckpointError(f"'{path}' has no entry '{entry}'; there are: {_names(content)}")
    weights = content[entry] if entry else content
    others = [name for name, weight in weights.items() if not isinstance(weight, Tensor)]
    if others or not weights:
        raise CheckpointError(
            f"'{path}' must hold tensors by name, or have them under {', '.join(ENTRIES)};"
            f" got {_names(dict.fromkeys(others)) or 'nothing'}"
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


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return {name: tensor for name, tensor in load_file(path).items() if not name.startswith(EXTRA)}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"no file of weights at '{path}': {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"'{path}' is damaged, or holds more than tensors and could run code; have its owner save the"
            f" state dict alone"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"'{path}' is damaged or no file of weights: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' must hold a state dict, got {type(content).__name__}")
    return content


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


def _names(content: Mapping[str, object]) -> str:
    return ", ".join(repr(str(name)) for name in list(content)[:10])
