"""``fedvsr upscale``: a video in, a larger video out."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedvsr.inference.frame_writer import check_free, open_writer
from fedvsr_core import devices
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.data.frames import probe, read_frames
from fedvsr_core.errors import DataError
from fedvsr_core.inference.tiles import WHOLE, Tiling
from fedvsr_core.inference.upscale import upscale_frames

_FOLDER_FPS = 25.0


def upscale(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file, or folder of frames.")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Video (.mp4 .mov .avi; .mkv is lossless), or folder for PNGs."),
    ],
    checkpoint: Annotated[
        Path, typer.Option(help="Model file (.safetensors), such as best.safetensors of a run.")
    ],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    chunk: Annotated[int, typer.Option(min=1, help="Frames upscaled at once; fewer need less memory.")] = 16,
    tile: Annotated[
        int | None, typer.Option(min=8, help="Cut frames into tiles of so many low-resolution pixels.")
    ] = None,
    tile_overlap: Annotated[int, typer.Option(min=0, help="Pixels that tiles share at least.")] = 16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Upscale a video. Sound isn't carried over; frames of a folder become a video of 25 frames a second."""
    tiling = Tiling(tile, tile_overlap) if tile else WHOLE
    facts = probe(source)
    check_free(target, overwrite=overwrite)
    if target.exists() and target.samefile(source):
        raise DataError(f"output '{target}' is the input itself; choose another name")
    model, place = load_model(checkpoint), devices.choose(device)
    model.to(place)
    fps, began, done = facts.fps or _FOLDER_FPS, time.monotonic(), 0
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress, open_writer(target, fps=fps, overwrite=overwrite) as write:
        task = progress.add_task("", total=facts.frames or None)
        for frame in upscale_frames(model, read_frames(source), device=place, chunk=chunk, tiling=tiling):
            write(frame)
            done += 1
            progress.update(task, completed=done)
    if done < facts.frames:
        typer.echo(
            f"warning: '{source}' claims {facts.frames} frames, but only {done} can be decoded", err=True
        )
    typer.echo(
        f"{target}: {done} frames of {facts.width * model.scale}x{facts.height * model.scale}"
        f" at {fps:g} fps, in {time.monotonic() - began:.0f} s on {devices.describe(place)}"
    )
