"""``fedvsr import-checkpoint``: published weights in, a model file of this project out."""

from pathlib import Path
from typing import Annotated

import typer

from fedvsr_core.checkpoints.pretrained import load_network, load_spynet, sha256_of
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.components import build
from fedvsr_core.errors import DataError
from fedvsr_core.layers.spynet import SpyNet
from fedvsr_core.models.contract import VideoModel
from server_app.config import compose

SPYNET = "spynet"


def import_checkpoint(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Checkpoint (.pth) of BasicSR, mmediting, mmagic or others."),
    ],
    model: Annotated[
        str, typer.Option(help="A name of conf/model; 'spynet' for the flow network alone, for flow.weights.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="What to write; default: FILE with the suffix .safetensors.")
    ] = None,
    entry: Annotated[
        str | None, typer.Option(help="Entry of FILE; default: params_ema, params or state_dict.")
    ] = None,
    overrides: Annotated[
        str, typer.Option(help="Changes to the model's arguments, such as 'model.num_block=15'.")
    ] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
) -> None:
    """Convert published weights; names that are missing or left over are listed, and nothing is written."""
    target = output or source.with_suffix(".safetensors")
    if target.exists() and not overwrite:
        raise DataError(f"'{target}' exists already; add --overwrite, or choose another name with --output")
    if not target.parent.is_dir():
        raise DataError(
            f"there is no folder '{target.parent}'; make it, or choose another name with --output"
        )
    if model == SPYNET:
        flow = SpyNet()
        used, licence = load_spynet(flow, source, entry), flow.weights_licence
        state, settings = flow.state_dict(), {"_target_": f"{SpyNet.__module__}.{SpyNet.__name__}"}
    else:
        settings = compose({"model": model, "overrides": overrides}).model
        network: VideoModel = build(settings)
        used, licence = load_network(network, source, entry), network.weights_licence
        state = network.state_dict()
    save_model(target, state, settings, source=source.name, source_sha256=sha256_of(source))
    typer.echo(f"{target}: '{model}', {len(state)} tensors, from {used or 'the tensors'} of '{source}'")
    typer.echo(f"sha256 {sha256_of(target)}")
    typer.echo(f"weights published for this network: {licence}")
