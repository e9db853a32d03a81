"""``fedvsr export``: a model for programs that don't know FedVSR."""

from pathlib import Path
from typing import Annotated

import typer

from fedvsr.publishing.folder import weights_file
from fedvsr.publishing.onnx_export import SIZES, export_onnx
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.errors import ConfigurationError, DataError


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Model file (.safetensors), or folder of 'fedvsr publish'.")
    ],
    output: Annotated[Path, typer.Argument(help="What to write, such as model.onnx.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX.")] = False,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a clip; fixed in the file.")] = 5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
) -> None:
    """Write a model in another form, checked against the original at two sizes."""
    if not onnx:
        raise ConfigurationError("say in which form; there is --onnx")
    if output.exists() and not overwrite:
        raise DataError(f"'{output}' exists already; add --overwrite, or choose another name")
    worst = export_onnx(load_model(weights_file(checkpoint)), output, frames=frames)
    sizes = " and ".join(f"{height}x{width}" for height, width in SIZES)
    typer.echo(f"{output}: clips of {frames} frames; differs by {worst:.1e} from torch at {sizes}")
