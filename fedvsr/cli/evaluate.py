"""``fedvsr evaluate``: scores of a model, or of frames that anyone has upscaled, with how they were made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fedvsr.evaluation.request import Evaluation, Request
from fedvsr.evaluation.score_files import read_scores, write_scores
from fedvsr.evaluation.score_page import score_page
from fedvsr.publishing.folder import weights_file
from fedvsr_core.errors import DataError
from fedvsr_core.evaluation.videos import Video
from fedvsr_core.inference.tiles import WHOLE, Tiling


def evaluate(
    data: Annotated[
        str | None,
        typer.Option(
            help="Ground truth: a video, a folder of frames, a folder of these, or a dataset's name. Without"
            " it, --upscaled is scored by --metrics that need none, such as niqe."
        ),
    ] = None,
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
    evaluation = Evaluation(
        Request(
            data=data,
            protocol=protocol,
            metrics=tuple(name.strip() for name in metrics.split(",") if name.strip()),
            checkpoint=weights_file(checkpoint) if checkpoint else None,
            upscaled=upscaled,
            bicubic=not no_bicubic,
            low=low,
            low_frames=low_frames,
            scale=scale,
            device=device,
            chunk=chunk,
            tiling=Tiling(tile, tile_overlap) if tile else WHOLE,
        )
    )
    others = read_scores(beside, like=evaluation.protocol, clips=list(evaluation.first)) if beside else None
    with _progress(evaluation.videos) as watch:
        scored = evaluation.run(watch)
    output.mkdir(parents=True, exist_ok=True)
    write_scores(scored, output, others)
    typer.echo(score_page(scored.as_json(), others).partition("\n## How")[0])
    typer.echo(f"{output}: scores.json, scores.csv, scores.md and plots, in {scored.about['seconds']:.0f} s")


@contextmanager
def _progress(videos: list[Video]) -> Iterator[Callable[[Video], Callable[[], object]]]:
    """Show a bar of frames; yields what is called with each video, and then after each of its frames."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=sum(video.frames for video in videos))

        def watch(video: Video) -> Callable[[], object]:
            progress.update(task, description=video.name)
            return partial(progress.advance, task)

        yield watch
