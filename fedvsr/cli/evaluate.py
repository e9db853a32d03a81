"""``fedvsr evaluate``: scores of a model, or of frames that anyone has upscaled, with how they were made."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fedvsr.cli.evaluation_videos import matching, videos_to_score
from fedvsr.score_files import BICUBIC, Scored, markdown, read_scores, write_scores
from fedvsr_core import devices
from fedvsr_core.checkpoints.pretrained import sha256_of
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.components import build, nearest
from fedvsr_core.data.degradation import Degradation, bicubic_up
from fedvsr_core.data.frames import Frame, read_frames
from fedvsr_core.errors import ConfigurationError, DataError
from fedvsr_core.evaluation.videos import Restore, Video, score_video
from fedvsr_core.inference.tiles import WHOLE, Tiling
from fedvsr_core.inference.upscale import CONTEXT, upscale_frames
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.metrics.suite import Suite, Values
from server_app.config import compose, load_component, options
from server_app.records.provenance import versions


def evaluate(
    data: Annotated[
        str,
        typer.Option(
            help="Ground truth: a video, a folder of frames, a folder of these, or a dataset's name."
        ),
    ],
    protocol: Annotated[
        str, typer.Option(help="How to score: a name of conf/protocol, or a yaml file of your own.")
    ] = "sample",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Model file (.safetensors), such as best.safetensors of a run.")
    ] = None,
    upscaled: Annotated[
        Path | None, typer.Option(help="Videos or folders of frames that were upscaled before; to be scored.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Further metrics, such as 'lpips,vmaf,tof'; comma-separated.")
    ] = "",
    low: Annotated[
        str | None, typer.Option(help="What makes low-resolution frames: a name of conf/degradation.")
    ] = None,
    low_frames: Annotated[
        Path | None, typer.Option(help="Low-resolution frames that came with the data, named as the clips.")
    ] = None,
    scale: Annotated[int | None, typer.Option(min=1, help="Default: the model's, or 4.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("scores"),
    beside: Annotated[
        Path | None, typer.Option(help="Results of another evaluation by the same protocol, to show beside.")
    ] = None,
    no_bicubic: Annotated[
        bool, typer.Option("--no-bicubic", help="Leave bicubic interpolation out.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    chunk: Annotated[int, typer.Option(min=1, help="Frames upscaled at once; fewer need less memory.")] = 16,
    tile: Annotated[
        int | None, typer.Option(min=8, help="Cut frames into tiles of so many low-resolution pixels.")
    ] = None,
    tile_overlap: Annotated[int, typer.Option(min=0, help="Pixels that tiles share at least.")] = 16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace former results.")] = False,
) -> None:
    """Score a checkpoint, upscaled frames, or bicubic alone, against ground truth by a named protocol."""
    if (output / "scores.json").exists() and not overwrite:
        raise DataError(f"'{output}' holds scores already; choose another --output or add --overwrite")
    model, place = load_model(checkpoint) if checkpoint else None, devices.choose(device)
    scale = _scale(model.scale if model else None, scale)
    chosen = _protocol(protocol, metrics, low)
    degradation = None if low_frames else _degradation(chosen.low, scale)
    suite = Suite(chosen.metrics, border=chosen.border, device=place)
    videos = videos_to_score(data, scale=scale, low=low_frames, degradation=degradation)
    theirs = matching(upscaled, [video.name for video in videos]) if upscaled else {}
    first = {video.name: chosen.scored(video.frames, video.name).start for video in videos}
    other = read_scores(beside, like=chosen, clips=list(first)) if beside else None
    tiling = Tiling(tile, tile_overlap) if tile else WHOLE
    restores: dict[str, Restore] = {}
    if not no_bicubic:
        restores[BICUBIC] = partial(_bicubic, scale)
    if model:
        model.to(place).eval()
        restores["model"] = partial(upscale_frames, model, device=place, chunk=chunk, tiling=tiling)
    if not restores and not upscaled:
        raise ConfigurationError("nothing is to be scored; give --checkpoint or --upscaled, or allow bicubic")

    began, values = time.monotonic(), _empty([*(["upscaled"] if theirs else []), *restores])
    for video, advance in _with_progress(videos):
        found = score_video(
            video,
            restores,
            {"upscaled": read_frames(theirs[video.name])} if theirs else {},
            suite=suite,
            protocol=chosen,
            scale=scale,
            degradation=degradation,
            progress=advance,
        )
        for way, scores in found.items():
            values[way][video.name] = scores
    about = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data,
        "low-resolution frames": _low(videos, low_frames, chosen),
        "upscaled": str(upscaled) if upscaled else None,
        "checkpoint": str(checkpoint) if checkpoint else None,
        "checkpoint's sha256": sha256_of(checkpoint) if checkpoint else None,
        "model": f"{type(model).__name__}, scale {scale}" if model else None,
        "inference": _inference(chunk, tiling) if model else None,
        "made by": suite.made_by,
        "device": devices.describe(place),
        "seconds": round(time.monotonic() - began, 2),
        "frames": sum(video.frames for video in videos),
        "versions": versions(),
    }
    scored = Scored(chosen, about, first, values)
    output.mkdir(parents=True, exist_ok=True)
    write_scores(scored, output, other)
    typer.echo(markdown(scored.as_json(), other).partition("\n## How")[0])
    typer.echo(f"{output}: scores.json, scores.csv, scores.md and plots, in {about['seconds']:.0f} s")


def _protocol(name: str, metrics: str, low: str | None) -> Protocol:
    """The protocol, with the metrics and the low-resolution frames that are asked for."""
    if Path(name).suffix in (".yaml", ".yml"):
        settings = load_component(Path(name))
    elif name in (known := options("protocol")):
        settings = compose({"overrides": f"protocol={name}"}).protocol
    else:
        raise ConfigurationError(f"there is no protocol '{name}'{nearest(name, known)}")
    protocol = build(settings)
    if not isinstance(protocol, Protocol):
        raise ConfigurationError(f"'{name}' must describe a protocol, got {type(protocol).__name__}")
    wanted = [metric.strip() for metric in metrics.split(",") if metric.strip()]
    return replace(protocol.extended(wanted), low=low or protocol.low or "bi")


def _degradation(name: str | None, scale: int) -> Degradation:
    if name not in (known := options("degradation")):
        raise ConfigurationError(f"there is no degradation '{name}'{nearest(str(name), known)}")
    overrides = f"degradation={name} degradation.scale={scale}"
    degradation: Degradation = build(compose({"overrides": overrides}).degradation)
    return degradation


def _low(videos: list[Video], given: Path | None, protocol: Protocol) -> str:
    brought = sum(video.low is not None for video in videos)
    if given or not brought:
        return f"{given}, said to be {protocol.low}" if given else f"made by {protocol.low}"
    return f"{protocol.low}: those that came with the data for {brought} of {len(videos)} clips"


def _scale(of_model: int | None, asked: int | None) -> int:
    if of_model and asked and of_model != asked:
        raise ConfigurationError(f"the checkpoint's model upscales by {of_model}, --scale says {asked}")
    return of_model or asked or 4


def _bicubic(scale: int, low: Iterable[Frame]) -> Iterator[Frame]:
    return (bicubic_up(frame, scale) for frame in low)


def _inference(chunk: int, tiling: Tiling) -> str:
    cut = f"tiles of {tiling.size} pixels, overlap {tiling.overlap}" if tiling.size else "whole frames"
    return f"{chunk} frames at once with {CONTEXT} more on either side, {cut}"


def _empty(ways: Iterable[str]) -> dict[str, dict[str, Values]]:
    return {way: {} for way in ways}


def _with_progress(videos: list[Video]) -> Iterator[tuple[Video, Callable[[], object]]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=sum(video.frames for video in videos))
        for video in videos:
            progress.update(task, description=video.name)
            yield video, partial(progress.advance, task)
