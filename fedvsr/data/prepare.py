"""Filling a clip store: decode, cut at shot changes, make the low-resolution frames, once and for all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np

from fedvsr.data.shot_changes import NearDuplicates, ShotChanges
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.components import build
from fedvsr_core.data.compression import codec_version
from fedvsr_core.data.degradation import Degradation, MadeLow
from fedvsr_core.data.frames import Frame, files_of, stream
from fedvsr_core.data.shots import Shot
from fedvsr_core.data.store import CLIP, STORE, VERSION, Planes
from fedvsr_core.errors import DataError
from fedvsr_core.json_text import parse_json

_CHUNK = 16
"""Frames whose low-resolution ones are made at once."""


@dataclass(frozen=True)
class Preparation:
    """How clips are prepared.

    Attributes:
        scale: Factor from low to high resolution.
        degradation: Settings of the degradation whose low-resolution frames are stored; None stores none.
        shot_threshold: Threshold of `ShotChanges`; None leaves clips whole.
        duplicate_threshold: Threshold of `NearDuplicates`; 0 keeps every frame.
        min_frames: Shots with fewer frames are left out.
    """

    scale: int
    degradation: Mapping[str, Any] | None
    shot_threshold: float | None
    duplicate_threshold: float
    min_frames: int


@dataclass(frozen=True)
class Prepared:
    """What became of one clip.

    Attributes:
        name: Its name.
        shots: Frames of each shot that was stored.
        left_out: Frames that were not: near duplicates, and those of shots that were too short.
        fresh: Whether it was done now, rather than in an earlier call.
        problem: Why it couldn't be prepared, or None.
    """

    name: str
    shots: list[int] = field(default_factory=list)
    left_out: int = 0
    fresh: bool = True
    problem: str | None = None


def prepare(
    shots: Sequence[tuple[Shot, bool]], store: Path, how: Preparation, *, workers: int
) -> Iterator[Prepared]:
    """Fill a clip store, or complete one that an earlier call began.

    A clip appears in the store when it is complete, so a call that is interrupted loses only what it was at.

    Args:
        shots: Clips, each with whether it is held out; the store keeps those apart.
        store: Folder of the store; made if it is missing.
        how: How clips are prepared.
        workers: Number of parallel processes.

    Yields:
        What became of each clip, as soon as it is done.

    Raises:
        DataError: If the folder holds something else, or a store that was prepared otherwise.
    """
    about = {
        "version": VERSION,
        "scale": how.scale,
        "degradation": how.degradation,
        "codecs": codec_version(),
    }
    _open_store(store, about)
    tasks = [(shot, held_out, number, store, how) for number, (shot, held_out) in enumerate(shots)]
    if workers == 1:
        yield from (_prepare_clip(*task) for task in tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures: list[Future[Prepared]] = [pool.submit(_prepare_clip, *task) for task in tasks]
        try:
            for done in as_completed(futures):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _open_store(store: Path, about: Mapping[str, Any]) -> None:
    known = store / STORE
    if known.is_file():
        if (earlier := _known(known)) != about:
            raise DataError(
                f"the clip store '{store}' was prepared as {earlier}, not as {about}; choose another folder"
            )
        return
    if store.is_dir() and any(store.iterdir()):
        raise DataError(f"'{store}' isn't empty and no clip store; choose another folder")
    store.mkdir(parents=True, exist_ok=True)
    write_atomically(known, json.dumps(about).encode())


def _prepare_clip(shot: Shot, held_out: bool, number: int, store: Path, how: Preparation) -> Prepared:
    """Prepare one clip in a folder of its own, and move that into the store."""
    folder = quote(shot.name, safe=" ()[],")
    fingerprint = _fingerprint(shot, how)
    destination, temporary = store / folder, store / f".{folder}.{os.getpid()}.part"
    known = _known(destination / CLIP) if (destination / CLIP).is_file() else {}
    if known.get("fingerprint") == fingerprint and known.get("held-out") == held_out:
        if known["number"] != number:  # the order of the source has changed
            write_atomically(destination / CLIP, json.dumps({**known, "number": number}).encode())
        sizes = [facts["size"][0] for facts in known["shots"]]
        return Prepared(shot.name, sizes, known["left-out"], fresh=False)
    try:
        temporary.mkdir()
        shots, left_out = _write_shots(shot, temporary, how)
        facts = {
            "number": number,
            "folder": folder,
            "held-out": held_out,
            "label": shot.label,
            "low-is-given": shot.low is not None and shot.low_by is None,
            "left-out": left_out,
            "fingerprint": fingerprint,
            "shots": shots,
        }
        (temporary / CLIP).write_text(json.dumps(facts))
        if destination.exists():
            shutil.rmtree(destination)
        temporary.rename(destination)
    except DataError as error:
        return Prepared(shot.name, problem=str(error))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Prepared(shot.name, [stored["size"][0] for stored in shots], left_out)


def _known(path: Path) -> dict[str, Any]:
    """What a file of a store says; nothing if it is damaged."""
    try:
        return dict(parse_json(path.read_bytes()))
    except (ValueError, TypeError):
        return {}


def _write_shots(shot: Shot, folder: Path, how: Preparation) -> tuple[list[dict[str, Any]], int]:
    changes = None if how.shot_threshold is None else ShotChanges(threshold=how.shot_threshold)
    duplicates = NearDuplicates(threshold=how.duplicate_threshold)
    shots: list[list[int]] = [[]]
    with ExitStack() as stack:
        file = stack.enter_context(_high(folder, 0).open("wb"))
        for number, frame in enumerate(stream(shot.high)):
            if changes is not None and changes.begins(frame) and shots[-1]:
                file.close()
                file = stack.enter_context(_high(folder, len(shots)).open("wb"))
                shots.append([])
            elif duplicates.drops(frame):
                continue
            _write(file, frame)
            shots[-1].append(number)
    written: list[dict[str, Any]] = []
    for place, numbers in enumerate(shots):
        if len(numbers) < how.min_frames:
            _high(folder, place).unlink()
            continue
        name = shot.name if len(shots) == 1 else f"{shot.name}[{numbers[0]}:{numbers[-1] + 1}]"
        high = Planes(_high(folder, place), len(numbers), shot.height, shot.width)
        low = _write_low(replace(shot, name=name), high, numbers, folder / f"{place}.low.u8", how)
        written.append({"name": name, "size": high.shape[:3], "high": high.path.name, "low": low})
    return written, shot.frames - sum(facts["size"][0] for facts in written)


def _high(folder: Path, place: int) -> Path:
    return folder / f"{place}.high.u8"


def _write_low(shot: Shot, high: Planes, numbers: Sequence[int], path: Path, how: Preparation) -> str | None:
    degradation: Degradation | None = None if how.degradation is None else build(how.degradation)
    if degradation is not None:
        shot = shot.degraded(degradation)
    if shot.low is None:
        return None
    with path.open("wb") as file:
        if isinstance(shot.low, MadeLow):
            made = replace(shot.low, high=high)
            step = len(numbers) if made.degradation.reach is None else _CHUNK
            for first in range(0, len(numbers), step):
                for frame in made[first : first + step, :, :]:
                    _write(file, frame)
        else:
            for number in numbers:
                _write(file, shot.low[number : number + 1, :, :][0])
    return path.name


def _write(file: IO[bytes], frame: Frame) -> None:
    file.write(np.ascontiguousarray(frame.transpose(2, 0, 1)).data)


def _fingerprint(shot: Shot, how: Preparation) -> str:
    """Changes whenever the files of a clip do, or how they are prepared."""
    digest = blake2b(f"{shot!r} {how!r} {codec_version()}".encode(), digest_size=16)
    for file in (*files_of(shot.high), *(() if shot.low is None else files_of(shot.low))):
        facts = file.stat()
        digest.update(f"{facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
