"""``fedvsr data``: look at videos, make a clip store of them, and see how they would be divided."""

import os
import shutil
from math import prod
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fedvsr.data.check import Finding, check_all
from fedvsr.data.prepare import Preparation, Prepared, prepare
from fedvsr.data.shares import plot_shares, shares_of
from fedvsr.run_config import parse_run_config
from fedvsr_core.components import build
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.data.shots import Dataset, Shot
from fedvsr_core.data.store import ClipStore
from fedvsr_core.errors import DataError
from server_app.config import compose

app = typer.Typer(
    add_completion=False,
    help="Look at videos, make a clip store of them, and see how they would be divided.",
    no_args_is_help=True,
)

_ROWS = 60
"""Rows of a table that can still be looked through."""

RunConfig = Annotated[str, typer.Option("--run-config", "-c", help="As for 'flwr run'.")]
Low = Annotated[
    str | None, typer.Option("--low", help="Folder of low-resolution recordings by the same names.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Clips worked on side by side; default: as many as cores.")
]


@app.command("check")
def check_command(
    path: Annotated[Path, typer.Argument(help="Folder of videos, of a dataset or of a clip store.")],
    scale: Annotated[int, typer.Option(min=1, help="Factor from low to high resolution.")] = 4,
    low: Low = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read headers only, decode nothing.")] = False,
    workers: Workers = None,
) -> None:
    """Say what a folder holds, clip by clip, and all that is wrong with it; returns 1 if anything is."""
    layout = detect(str(path), low, scale=scale)
    if not isinstance(layout, Layout):
        _check_store(layout)
        return
    with _bar() as progress:
        task = progress.add_task("clips", total=len(layout.entries()))
        findings = []
        for finding in check_all(layout, quick=quick, workers=workers or os.cpu_count() or 1):
            findings.append(finding)
            progress.advance(task)
    _show(findings)
    wrong = [finding for finding in findings if finding.problems]
    typer.echo(
        f"{path}: {layout.title}, {len(findings)} clips"
        f" ({sum(finding.held_out for finding in findings)} held out),"
        f" {sum(finding.frames for finding in findings)} frames; {len(findings) - len(wrong)} are sound"
    )
    for finding in findings:
        for problem in finding.problems:
            typer.echo(f"problem: clip '{finding.name}': {problem}")
        for note in finding.notes:
            typer.echo(f"note: clip '{finding.name}': {note}")
    if wrong:
        left_out = (
            "what can't be used is left out of training" if layout.lenient else "mend them before training"
        )
        typer.echo(f"{len(wrong)} clips have problems; {left_out}")
        raise typer.Exit(1)


@app.command("prepare")
def prepare_command(
    path: Annotated[
        str, typer.Argument(help="Folder of videos or of a dataset; '-': the data of --run-config.")
    ],
    store: Annotated[Path, typer.Argument(help="Folder of the clip store to make or complete.")],
    run_config: RunConfig = "",
    low: Low = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames taken of each of your own videos at most.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Decode clips once, cut them at shot changes and make their low-resolution frames.

    The degradation and the thresholds under 'prepare' are those of the configuration. Called again, it does
    only what is missing or has changed.
    """
    settings = compose(parse_run_config(run_config))
    scale = int(settings.degradation["scale"])
    data: Dataset = (
        build(settings.data) if path == "-" else detect(path, low, scale=scale, max_frames=max_frames)
    )
    shots = [*((shot, False) for shot in data.train()), *((shot, True) for shot in data.held_out())]
    _check_space([shot for shot, _ in shots], store, scale)
    whole = isinstance(data, Layout) and not data.lenient  # published clips have no shot changes
    how = Preparation(
        scale=scale,
        degradation=settings.degradation,
        shot_threshold=None if whole else settings.prepare.shot_threshold,
        duplicate_threshold=settings.prepare.duplicate_threshold,
        min_frames=settings.prepare.min_frames,
    )
    done: list[Prepared] = []
    with _bar() as progress:
        task = progress.add_task("clips", total=len(shots))
        for clip in prepare(shots, store, how, workers=workers or os.cpu_count() or 1):
            done.append(clip)
            progress.advance(task)
    for clip in done:
        if clip.problem:
            typer.echo(f"problem: clip '{clip.name}': {clip.problem}")
        elif not clip.shots:
            typer.echo(
                f"note: clip '{clip.name}': none of its shots has the frames that are asked for; lower"
                " prepare.min_frames, or raise prepare.shot_threshold"
            )
    stored = [frames for clip in done for frames in clip.shots]
    typer.echo(
        f"{store}: {len(stored)} shots of {len(done)} clips, {sum(stored)} frames, {_size_gb(store):.2f} GB;"
        f" {sum(clip.fresh and not clip.problem for clip in done)} clips done now,"
        f" {sum(clip.left_out for clip in done)} frames left out"
    )
    if any(clip.problem for clip in done):
        raise typer.Exit(1)


@app.command("partition")
def partition_command(
    clients: Annotated[int, typer.Option(min=1, help="Simulated clients.")] = 2,
    run_config: RunConfig = "",
    plot: Annotated[Path | None, typer.Option(help="PNG file for a plot of it.")] = None,
) -> None:
    """Show how the data of a configuration would be divided among simulated clients."""
    settings = compose(parse_run_config(run_config))
    parts = build(settings.partition)(build(settings.data).train(), clients)
    shares = shares_of(parts, window=settings.training.window)
    table = Table("client", "clips", "frames", "windows", "megapixels", "labels", "camera")
    for row in shares:
        numbers = (row.clips, row.frames, row.windows, f"{row.megapixels:.0f}")
        labels = ", ".join(f"{label} {count}" for label, count in row.labels.items())
        table.add_row(str(row.client), *map(str, numbers), escape(labels), escape(row.camera))
    Console().print(table)
    frames = [row.frames for row in shares]
    typer.echo(f"{settings.names['partition']}: {clients} clients of {min(frames)} to {max(frames)} frames")
    if plot is not None:
        plot_shares(shares, plot)
        typer.echo(plot)


def _check_store(store: ClipStore) -> None:
    problems = store.problems()
    for problem in problems:
        typer.echo(f"problem: {problem}")
    shots = [*store.train(), *store.held_out()]
    frames = sum(shot.frames for shot in shots)
    typer.echo(f"{store.folder}: {store.title} of {len(shots)} shots, {frames} frames")
    if problems:
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    """A table of the clips; of many, only those that need a look."""
    shown = findings
    if len(findings) > _ROWS:
        shown = [finding for finding in findings if finding.problems or finding.notes][:_ROWS]
    table = Table("clip", "frames", "size", "fps", "low", "label", "held out", "state")
    for finding in shown:
        state = "problem" if finding.problems else "note" if finding.notes else "sound"
        table.add_row(
            escape(finding.name),
            str(finding.frames),
            f"{finding.width}x{finding.height}",
            "" if finding.fps is None else f"{finding.fps:g}",
            finding.low,
            escape(finding.label or ""),
            "yes" if finding.held_out else "",
            state,
        )
    if shown:
        Console().print(table)
    if len(shown) < len(findings):
        typer.echo(f"... and {len(findings) - len(shown)} others")


def _check_space(shots: list[Shot], store: Path, scale: int) -> None:
    """Refuse to begin what the disk can't hold; what the store holds already counts as free."""
    needed = sum(prod(shot.high.shape) for shot in shots) * (1 + 1 / scale**2)
    parent = next(folder for folder in (store.absolute(), *store.absolute().parents) if folder.exists())
    free = shutil.disk_usage(parent).free + _size_gb(store) * 1e9
    typer.echo(f"{len(shots)} clips need {needed / 1e9:.2f} GB; {free / 1e9:.0f} GB are free")
    if needed > free:
        raise DataError(
            f"the clips need {needed / 1e9:.1f} GB, but there are {free / 1e9:.1f} GB for '{store}'; take"
            " fewer frames with --max-frames, or another disk"
        )


def _size_gb(store: Path) -> float:
    return sum(file.stat().st_size for file in store.glob("*/*") if file.is_file()) / 1e9


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
