"""What ``fedvsr upscale`` does with each video, and what it says of it."""

from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fedvsr.inference.destinations import Pair
from fedvsr.inference.encoding import Encoding
from fedvsr.inference.frame_writer import Output, check_free, interrupted
from fedvsr.inference.jobs import Network, compare_crops, run_job
from fedvsr.inference.memory_fit import Fit
from fedvsr.inference.sources import Source, open_source
from fedvsr_core import devices
from fedvsr_core.errors import DataError, FedVSRError
from fedvsr_core.inference.tiles import WHOLE, Tiling

FAILED, DAMAGED = 1, 3
"""Exit status when nothing was written, and when all was, but some of the input couldn't be read."""


@dataclass(frozen=True)
class Wishes:
    """What a person wants of each video; as the options of `fedvsr upscale`."""

    device: str
    chunk: int | None
    tile: int | None
    tile_overlap: int
    overwrite: bool
    resume: bool
    encoding: Encoding
    kinds: frozenset[str]
    chapters: bool
    start_s: float | None
    end_s: float | None
    fps: float | None
    height: int | None
    scale: float | None
    tone_map: bool
    preview_s: float | None
    crops: Path | None


def do(pair: Pair, network: Network, wishes: Wishes, *, alone: bool) -> int:
    """Do one job and report it; returns the exit status that it asks for."""
    try:
        return _upscale(pair, network, wishes)
    except FedVSRError as error:
        if alone:
            raise
        typer.echo(f"error: '{pair.source}': {error}", err=True)
        return FAILED
    except Exception as error:  # whatever libraries raise: it is this video's, and not the others'
        if alone:
            raise DataError(f"'{pair.source}' can't be upscaled: {error}") from error
        typer.echo(f"error: '{pair.source}': {error}", err=True)
        return FAILED


def look(pair: Pair, wishes: Wishes) -> tuple[Source, Output]:
    """See what there is to read and write; raises a `FedVSRError` if something is wrong with either."""
    end_s = wishes.end_s
    if wishes.preview_s is not None:
        end_s = min((wishes.start_s or 0) + wishes.preview_s, float("inf") if end_s is None else end_s)
    source = open_source(
        pair.source, start_s=wishes.start_s, end_s=end_s, fps=wishes.fps, tone_map=wishes.tone_map
    )
    beside = source.beside and replace(source.beside, kinds=wishes.kinds, chapters=wishes.chapters)
    names = [f"{Path(name).stem}.png" for name in source.names] or None
    output = Output(pair.target, source.timing, wishes.encoding, source.look, beside, names)
    check_free(output, overwrite=wishes.overwrite)
    if pair.target.exists() and pair.target.samefile(pair.source):
        raise DataError(f"output '{pair.target}' is the input itself; choose another name")
    return source, output


def _upscale(pair: Pair, network: Network, wishes: Wishes) -> int:
    source, output = look(pair, wishes)
    for note in source.notes:
        typer.echo(f"note: '{pair.source}': {note}", err=True)
    size = _size(source, network, wishes)
    deep = output.deep
    if source.look.bits > 8 and not deep:
        typer.echo(
            f"note: '{pair.source}' has {source.look.bits} bits, the output 8; --codec h265 or --bits keeps"
            " them",
            err=True,
        )
    known = interrupted(output) if wishes.resume else {}
    fitted = _fit(source, network, wishes, known)
    about = {
        "input": [str(pair.source.absolute()), *_changed(pair.source)],
        "range": [source.first, source.stop],
        "model": network.sha256,
        "encoding": repr(output.encoding),
        "size": list(size),
        "tone-mapping": wishes.tone_map,
        "preview": wishes.preview_s is not None,
        "chunk": fitted.chunk,
        "tile": fitted.tiling.size,
        "overlap": fitted.tiling.overlap,
    }
    if wishes.crops is not None:
        compare_crops(source, network, fitted, wishes.crops)
    with _bar() as progress:
        task = progress.add_task(pair.source.name, total=source.frames)
        done = run_job(
            source,
            output,
            network,
            fitted,
            size=size,
            deep=deep,
            side_by_side=wishes.preview_s is not None,
            overwrite=wishes.overwrite,
            resume=wishes.resume,
            about=about,
            progress=lambda number: progress.update(task, completed=number),
        )
    if done.left_out:
        typer.echo(f"note: {pair.target.suffix} can't hold {', '.join(done.left_out)}: left out", err=True)
    for damage in sorted(set(source.damage)):
        typer.echo(f"warning: '{pair.source}' is damaged: {damage}", err=True)
    before = f", {done.resumed} of them before" if done.resumed else ""
    speed = (done.frames - done.resumed) / max(done.seconds, 1e-3)
    typer.echo(
        f"{pair.target}: {done.frames} frames of {done.width}x{done.height}{before} at"
        f" {float(source.timing.rate):g} fps, in {done.seconds:.0f} s ({speed:.3g} frames/s) on"
        f" {devices.describe(network.device)}"
    )
    return DAMAGED if source.damage else 0


def _size(source: Source, network: Network, wishes: Wishes) -> tuple[int, int]:
    """Height and width of the output; says so if the network's frames are resampled for it."""
    height, width = source.height * network.model.scale, source.width * network.model.scale
    sides = 2 if wishes.preview_s is not None else 1
    if wishes.height is None and wishes.scale is None:
        return height, sides * width
    factor = wishes.height / height if wishes.height else (wishes.scale or 1) / network.model.scale
    wanted = max(round(height * factor / 2) * 2, 2), max(round(width * factor / 2) * 2, 2)
    if wanted != (height, width):
        typer.echo(
            f"note: frames of {width}x{height} from the network are resampled to {wanted[1]}x{wanted[0]}",
            err=True,
        )
    return wanted[0], sides * wanted[1]


def _fit(source: Source, network: Network, wishes: Wishes, known: dict[str, object]) -> Fit:
    if wishes.tile is None and isinstance(known.get("chunk"), int):  # as the interrupted job did
        size = known.get("tile")
        tiling = Tiling(size, wishes.tile_overlap) if isinstance(size, int) else WHOLE
        return Fit(wishes.chunk or int(str(known["chunk"])), tiling)
    if wishes.tile is not None:
        tiling = Tiling(wishes.tile, wishes.tile_overlap) if wishes.tile else WHOLE
        return Fit(wishes.chunk or 16, tiling)
    fitted = network.need.fit(source.height, source.width, chunk=wishes.chunk, overlap=wishes.tile_overlap)
    if fitted.tiling.size is not None:
        typer.echo(
            f"note: {fitted.chunk} frames at once in tiles of {fitted.tiling.size} pixels, for the memory"
            " that is free",
            err=True,
        )
    return fitted


def _changed(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.3g} frames/s" if task.speed else "")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        _Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
