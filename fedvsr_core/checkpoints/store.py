"""A model in one safetensors file, with the settings that build it.

The file holds the model's whole state dict under its own names. Its metadata are strings: ``format``
(``fedvsr-1``), ``model`` (JSON of the settings, ``_target_`` included) and whatever else the writer knows,
such as ``round``. Nothing in it depends on the clock or the machine: equal content means equal bytes.
Tensors whose name starts with `EXTRA` belong to whoever wrote them and are no part of the model.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.components import build, problems
from fedvsr_core.errors import CheckpointError, ConfigurationError
from fedvsr_core.json_text import parse_json
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.models.size import check_file_size, without_memory

FORMAT = "fedvsr-1"
EXTRA = "extra:"

_SHOWN = 5  # names in an error message
_LENGTH = 200  # characters of metadata in one


@dataclass(frozen=True)
class ModelFile:
    """What a file of weights holds.

    Attributes:
        state: The model's state dict, on the CPU.
        settings: ``_target_`` and constructor arguments of the model.
        facts: The other metadata, as text.
        extra: Tensors in addition to the model's, by their name without `EXTRA`.
    """

    state: dict[str, Tensor]
    settings: dict[str, Any]
    facts: dict[str, str]
    extra: dict[str, Tensor]

    def build(self) -> VideoModel:
        """The model with these weights, on the CPU and in evaluation mode.

        Raises:
            ConfigurationError: If the settings don't describe a model of this version of the project, or one
                that this machine can't hold.
            CheckpointError: If the weights don't fit it, or aren't finite.
        """
        # A file must not be able to build anything else, nor anything larger than its own weights.
        if wrong := list(problems(self.settings, "model", kind=VideoModel)):
            raise ConfigurationError("; ".join(wrong))
        try:
            network = without_memory(self.settings, most=2 * len(self.state) + 100)
            check_fit(self.state, network.state_dict())
            model: VideoModel = build(self.settings)
        except (RuntimeError, ArithmeticError, AssertionError, MemoryError) as error:
            raise ConfigurationError(f"the settings build no model: {str(error).splitlines()[0]}") from error
        model.load_state_dict(self.state)
        return model.eval()


def save_model(
    path: Path, state: Mapping[str, Tensor], model_settings: Mapping[str, Any], **facts: str | float
) -> None:
    """Write a model file atomically.

    Args:
        path: The file; its folder exists.
        state: The whole state dict.
        model_settings: ``_target_`` and constructor arguments, plain JSON values.
        facts: More metadata, such as ``round=7``; they become text.
    """
    write_atomically(path, encode(state, model_settings, {name: str(value) for name, value in facts.items()}))


def load_model(path: Path) -> VideoModel:
    """Build the model of a file, with its weights, on the CPU and in evaluation mode.

    Raises:
        ConfigurationError: If the file names a model that this version of the project doesn't have.
        CheckpointError: If the file is missing or damaged, or its weights don't fit the model.
    """
    try:
        return read(path).build()
    except (CheckpointError, ConfigurationError) as error:
        raise type(error)(f"'{path}' can't be loaded: {error}") from error


def encode(
    state: Mapping[str, Tensor],
    model_settings: Mapping[str, Any],
    facts: Mapping[str, str],
    extra: Mapping[str, Tensor] | None = None,
) -> bytes:
    """The bytes of a model file; see `ModelFile` for the arguments.

    safetensors writes its metadata in a new random order each time, so the header is put in order here.
    """
    tensors = {**state, **{EXTRA + name: tensor for name, tensor in (extra or {}).items()}}
    # Copies, since safetensors refuses tensors that share memory, such as tied weights.
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    metadata = {**facts, "format": FORMAT, "model": json.dumps(model_settings, sort_keys=True)}
    blob = save(dict(sorted(copies.items())), metadata)
    start = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + blob[start:]


def read(path: Path) -> ModelFile:
    """Read a model file without building the model.

    Raises:
        CheckpointError: If the file is missing, damaged or of another kind, or larger than the free memory.
    """
    check_file_size(path)
    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except OSError as error:
        raise CheckpointError(f"no file of weights at '{path}': {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        remedy = (
            "; convert a published checkpoint of torch with 'fedvsr import-checkpoint'"
            if path.suffix in {".pth", ".pt", ".ckpt"}
            else ""
        )
        raise CheckpointError(f"'{path}' is damaged or no safetensors file: {error}{remedy}") from error
    if facts.pop("format", None) != FORMAT:
        raise CheckpointError(f"'{path}' wasn't written by this project: its metadata lack format={FORMAT}")
    return ModelFile(
        state={name: tensor for name, tensor in tensors.items() if not name.startswith(EXTRA)},
        settings=_settings(facts.pop("model", ""), path),
        facts=facts,
        extra={
            name.removeprefix(EXTRA): tensor for name, tensor in tensors.items() if name.startswith(EXTRA)
        },
    )


def check_fit(state: Mapping[str, Tensor], own: Mapping[str, Tensor], *, shown: int | None = _SHOWN) -> None:
    """Compare weights with the state dict of the model they are meant for, and see that they are numbers.

    Args:
        state: The weights.
        own: The model's state dict.
        shown: Most names of a kind that the message lists, or None for all.

    Raises:
        CheckpointError: If names are missing or unexpected, shapes differ, or values aren't finite; lists
            them.
    """
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    problems = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": shapes,
        "not finite": [name for name in own if name in state and not shapes and not _finite(state[name])],
    }
    mismatches = [f"{_join_names(names, shown)} {what}" for what, names in problems.items() if names]
    if mismatches:
        raise CheckpointError(f"the weights must fit the model, but there are {'; '.join(mismatches)}")


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _join_names(names: Collection[str], shown: int | None) -> str:
    hidden = len(names) - (len(names) if shown is None else shown)
    return ", ".join(list(names)[:shown]) + (f" and {hidden} more" if hidden > 0 else "")


def _settings(text: str, path: Path) -> dict[str, Any]:
    try:
        settings = parse_json(text)
    except ValueError as error:
        raise CheckpointError(f"'{path}' must name its model in JSON, got {text!r:.{_LENGTH}}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"'{path}' must name its model in JSON, got {text!r:.{_LENGTH}}")
    return settings
