"""``fedvsr upscale``: videos in, larger videos out."""

import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

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

from fedvsr.inference.destinations import Pair, pair_up
from fedvsr.inference.encoding import CODECS, Encoding
from fedvsr.inference.frame_writer import Output, check_free, interrupted
from fedvsr.inference.jobs import Network, compare_crops, run_job
from fedvsr.inference.memory_fit import Fit, fit
from fedvsr.inference.sources import Source, open_source
from fedvsr.runs import runs_in
from fedvsr_core import devices
from fedvsr_core.checkpoints.pretrained import sha256_of
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.errors import ConfigurationError, DataError, FedVSRError
from fedvsr_core.inference.tiles import WHOLE, Tiling
from server_app.checkpoints import BEST
from server_app.config import compose
from server_app.records.journal import COMPLETED
from server_app.records.run_dir import RunDir

_DAMAGED = 3
"""Exit status when all was written, but some of the input couldn't be read."""


@dataclass(frozen=True)
class _Wishes:
    """What a person wants of each video; as the options of the command."""

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


def upscale(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN... OUT",
            help="Video files, folders of frames, or folders of these; and a video (.mp4 .mov .mkv .webm), a"
            " folder for PNGs, or for several inputs a folder for videos.",
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Model file (.safetensors); default: best of the newest completed run."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    codec: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(CODECS)}; default: h264, in .webm av1. ffv1 loses nothing."),
    ] = None,
    crf: Annotated[
        int | None, typer.Option(min=0, max=63, help="Quality, smaller is better; default: 14 for h264.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Speed against size, as the encoder calls it; profile of prores.")
    ] = None,
    bits: Annotated[
        int | None, typer.Option(help="8 or 10, of PNGs 8 or 16; default: as IN has, but 8 for h264.")
    ] = None,
    kind: Annotated[
        Literal["mp4", "mov", "mkv", "webm", "png"], typer.Option("--format", help="Of several outputs.")
    ] = "mp4",
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Copy all sound.")] = True,
    subtitles: Annotated[bool, typer.Option("--subtitles/--no-subtitles", help="Copy all subtitles.")] = True,
    chapters: Annotated[
        bool, typer.Option("--chapters/--no-chapters", help="Copy chapters, title and other metadata.")
    ] = True,
    start: Annotated[str | None, typer.Option(help="Begin here: seconds, or h:mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(help="Stop here: seconds, or h:mm:ss.")] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Frames a second of a folder; default: 25.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(min=2, help="Height of OUT; frames of the network are resampled.")
    ] = None,
    scale: Annotated[float | None, typer.Option(min=0.1, help="Size of OUT by that of IN, likewise.")] = None,
    tone_map: Annotated[
        bool, typer.Option("--tone-map", help="Map high dynamic range (PQ, HLG) to the standard one.")
    ] = False,
    preview: Annotated[
        float | None, typer.Option(min=0.01, help="Only so many seconds, bicubic and network side by side.")
    ] = None,
    crop_compare: Annotated[
        Path | None, typer.Option(help="PNG of the crop with most detail, bicubic and network.")
    ] = None,
    chunk: Annotated[
        int | None,
        typer.Option(min=1, help="Frames upscaled at once; default: 16, fewer if memory is small."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(min=0, help="Side of tiles in pixels of IN, 0: none; default: as memory allows."),
    ] = None,
    tile_overlap: Annotated[int, typer.Option(min=0, help="Pixels that tiles share at least.")] = 16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted job; keep what is done if this one is.")
    ] = False,
) -> None:
    """Upscale videos, with their sound, subtitles, chapters and frame times.

    Ends with 1 if one failed, and with 3 if all were written but parts of the input can't be read.
    """
    if len(paths) < 2:
        raise typer.BadParameter("name at least one input, and the output")
    if height is not None and scale is not None:
        raise ConfigurationError("--height and --scale can't be given together; leave one out")
    pairs = pair_up(paths[:-1], paths[-1], kind)
    if crop_compare is not None and len(pairs) > 1:
        raise ConfigurationError(f"--crop-compare is for one input, got {len(pairs)}; leave it out")
    kinds = frozenset(name for name, wanted in (("audio", audio), ("subtitle", subtitles)) if wanted)
    wishes = _Wishes(
        device,
        chunk,
        tile,
        tile_overlap,
        overwrite,
        resume,
        Encoding(codec, crf, preset, bits),
        kinds,
        chapters,
        _seconds(start),
        _seconds(end),
        fps,
        height,
        scale,
        tone_map,
        preview,
        crop_compare,
    )
    for pair in pairs:
        if pair.target != paths[-1]:
            pair.target.parent.mkdir(parents=True, exist_ok=True)
    if len(pairs) == 1:
        _open(pairs[0], wishes)  # what is wrong with it is said before a network is loaded
    model_file = checkpoint or _newest()
    place = devices.choose(device)
    network = Network(load_model(model_file).to(place), place, sha256_of(model_file))
    with _ended_as_interrupted():
        states = [_one(pair, network, wishes, alone=len(pairs) == 1) for pair in pairs]
    if worst := max(states, key=lambda state: (state == 1, state)):
        raise typer.Exit(worst)


def _one(pair: Pair, network: Network, wishes: _Wishes, *, alone: bool) -> int:
    """Do one job and report it; returns the exit status that it asks for."""
    try:
        return _upscale(pair, network, wishes)
    except FedVSRError as error:
        if alone:
            raise
        typer.echo(f"error: '{pair.source}': {error}", err=True)
        return 1
    except Exception as error:  # whatever libraries raise: it is this video's, and not the others'
        if alone:
            raise DataError(f"'{pair.source}' can't be upscaled: {error}") from error
        typer.echo(f"error: '{pair.source}': {error}", err=True)
        return 1


def _open(pair: Pair, wishes: _Wishes) -> tuple[Source, Output]:
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


def _upscale(pair: Pair, network: Network, wishes: _Wishes) -> int:
    source, output = _open(pair, wishes)
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
    return _DAMAGED if source.damage else 0


def _size(source: Source, network: Network, wishes: _Wishes) -> tuple[int, int]:
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


def _fit(source: Source, network: Network, wishes: _Wishes, known: dict[str, object]) -> Fit:
    if wishes.tile is None and isinstance(known.get("chunk"), int):  # as the interrupted job did
        size = known.get("tile")
        tiling = Tiling(size, wishes.tile_overlap) if isinstance(size, int) else WHOLE
        return Fit(wishes.chunk or int(str(known["chunk"])), tiling)
    if wishes.tile is not None:
        tiling = Tiling(wishes.tile, wishes.tile_overlap) if wishes.tile else WHOLE
        return Fit(wishes.chunk or 16, tiling)
    fitted = fit(
        network.model,
        network.device,
        source.height,
        source.width,
        chunk=wishes.chunk,
        overlap=wishes.tile_overlap,
    )
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


def _newest() -> Path:
    """The best model of the newest completed run."""
    root = Path(compose({}).run.root).expanduser()
    runs = [run for run in runs_in(root) if run.state == COMPLETED] if root.is_dir() else []
    files = [RunDir(run.path).checkpoints / BEST for run in sorted(runs, key=lambda run: run.started)]
    files = [file for file in files if file.is_file()]
    if not files:
        raise DataError(f"there is no completed run in '{root}'; name a model with --checkpoint")
    typer.echo(f"model: {files[-1]}", err=True)
    return files[-1]


def _seconds(text: str | None) -> float | None:
    """Seconds of ``90``, ``1:30`` or ``0:01:30.5``."""
    if text is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text):
        raise ConfigurationError(f"a time must be seconds or h:mm:ss, such as 90 or 1:30, got '{text}'")
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


@contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """A SIGTERM ends the job as Ctrl-C does, so that nothing is left behind."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
