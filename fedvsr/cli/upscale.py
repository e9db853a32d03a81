"""``fedvsr upscale``: videos in, larger videos out."""

import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from fedvsr.cli.upscale_jobs import FAILED, Wishes, do, look
from fedvsr.inference.destinations import pair_up
from fedvsr.inference.encoding import CODECS, Encoding
from fedvsr.inference.jobs import Network
from fedvsr.inference.memory_fit import Need
from fedvsr.publishing.folder import weights_file
from fedvsr.runs import runs_in
from fedvsr_core import devices
from fedvsr_core.checkpoints.pretrained import sha256_of
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.errors import ConfigurationError, DataError
from server_app.checkpoints import BEST
from server_app.config import compose
from server_app.records.journal import COMPLETED
from server_app.records.run_dir import RunDir


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
        typer.Option(
            help="Model file (.safetensors), or folder of 'fedvsr publish'; default: best of the newest run."
        ),
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
        bool,
        typer.Option(
            "--resume",
            help="Continue a job that was interrupted or killed, and keep what is done if this one is."
            " Without it, the next job to OUT removes what a killed one left.",
        ),
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
    wishes = Wishes(
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
        look(pairs[0], wishes)  # what is wrong with it is said before a network is loaded
    model_file = weights_file(checkpoint) if checkpoint else _newest()
    place = devices.choose(device)
    model = load_model(model_file).to(place)
    network = Network(model, place, sha256_of(model_file), Need(model, place))
    with _ended_as_interrupted():
        states = [do(pair, network, wishes, alone=len(pairs) == 1) for pair in pairs]
    if worst := max(states, key=lambda state: (state == FAILED, state)):
        raise typer.Exit(worst)


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
