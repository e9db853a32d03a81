"""A model as ONNX, for programs without torch; checked against ONNX Runtime at two sizes."""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ConfigurationError, MissingToolError
from fedvsr_core.models.contract import VideoModel

TOLERANCE = 1e-3
"""Largest difference from torch, of values in [0, 1]: a quarter of a level of 8 bits."""
SIZES = ((64, 64), (72, 96))
"""Height and width of the clips that the file is checked with."""
_NEEDED = ("onnx", "onnxruntime", "onnxscript")
_BICUBIC = torch.ops.aten._upsample_bicubic2d_aa.default


def export_onnx(model: VideoModel, path: Path, *, frames: int) -> float:
    """Write a model as ONNX: ``low`` (1, T, 3, H, W) in, ``high`` (1, T, 3, sH, sW) out; H and W are free.

    Args:
        model: In evaluation mode, on the CPU.
        path: What to write.
        frames: T, which is fixed: the networks go through the frames of a clip one after the other.

    Returns:
        The largest difference from torch at `SIZES`.

    Raises:
        MissingToolError: If a package is missing.
        ConfigurationError: If the network can't be written as ONNX, or isn't the same there.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingToolError(f"ONNX needs {', '.join(missing)}: pip install 'fedvsr[onnx]'")
    name = type(model).__name__
    if model.beyond_onnx:
        raise ConfigurationError(
            f"{name} can't be written as ONNX with its {model.beyond_onnx}; use its .safetensors with FedVSR"
        )
    dynamic = {3: torch.export.Dim.DYNAMIC, 4: torch.export.Dim.DYNAMIC}
    try:
        program = torch.onnx.export(
            model,
            (_clip(frames, SIZES[0]),),
            dynamo=True,
            dynamic_shapes=(dynamic,),
            input_names=["low"],
            output_names=["high"],
            custom_translation_table={_BICUBIC: _bicubic()},
            verbose=False,
        )
    except Exception as error:  # of any kind: the exporter's own, torch's, or of the network's code
        raise ConfigurationError(
            f"{name} can't be written as ONNX: {_reason(error)}; use its .safetensors with FedVSR"
        ) from error
    if program is None:
        raise ConfigurationError(f"{name} can't be written as ONNX: torch's exporter gave nothing back")
    content: bytes = program.model_proto.SerializeToString()
    worst = max(_difference(model, content, _clip(frames, size)) for size in SIZES)
    if not worst <= TOLERANCE:
        raise ConfigurationError(
            f"{name} isn't the same as ONNX: its frames differ by {worst:.2g}, of values in [0, 1]; nothing"
            " was written, use its .safetensors with FedVSR"
        )
    write_atomically(path, content)
    return worst


def _difference(model: VideoModel, content: bytes, low: torch.Tensor) -> float:
    runtime = importlib.import_module("onnxruntime")
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (theirs,) = session.run(None, {"low": low.numpy()})
    except Exception as error:  # ONNX Runtime has no class of its own for what it can't run
        raise ConfigurationError(
            f"{type(model).__name__} can't be run by ONNX Runtime: {_reason(error)}; use its .safetensors"
            " with FedVSR"
        ) from error
    with torch.no_grad():
        ours = model(low).numpy()
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")


def _clip(frames: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.rand(1, frames, 3, *size, generator=torch.Generator().manual_seed(0))


def _bicubic() -> Callable[..., Any]:
    """Torch's antialiased bicubic kernel, which enlarges as ONNX's with a = -0.5 does."""
    operators = importlib.import_module("onnxscript").opset18

    def resize(images: Any, size: Sequence[Any], align: bool, high: float, wide: float) -> Any:  # noqa: ANN401 (values of a graph)
        factors = operators.Constant(value_floats=[1.0, 1.0, high, wide])
        return operators.Resize(
            images,
            None,
            factors,
            None,
            mode="cubic",
            cubic_coeff_a=-0.5,
            coordinate_transformation_mode="half_pixel",
        )

    return resize


def _reason(error: BaseException) -> str:
    """The first sentence of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no reason given'}"
