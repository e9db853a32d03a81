"""Which videos an evaluation is about: files, folders, or the held-out clips of a dataset."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from fedvsr_core.components import build, nearest
from fedvsr_core.data.degradation import Degradation, MadeLow
from fedvsr_core.data.frames import probe, read_frames, stream
from fedvsr_core.data.images import VIDEO_SUFFIXES, folder_notes, holds_frames
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.layouts.entry import Entry, open_entry
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.data.layouts.videos import find_videos
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.evaluation.videos import Video
from fedvsr_core.printable import printable
from server_app.config import compose, options

_log = logging.getLogger(__name__)

_FPS = 25.0


def videos_to_score(
    data: str, *, scale: int, low: Path | None, degradation: Degradation | None
) -> list[Video]:
    """Find the ground truth.

    Args:
        data: A video file; a folder of frames; a folder of either, searched with all folders under it; a
            published dataset or a clip store, of which the held-out clips count if there are some; or a name
            of ``conf/data``, whose held-out clips are meant.
        scale: Factor from low to high resolution.
        low: Low-resolution frames: as `matching`. None: those that a published dataset brings, if they
            were made by ``degradation``; otherwise they are made.
        degradation: What makes low-resolution frames; None only together with ``low``.

    Raises:
        DataError: If there is nothing of the kind, or low-resolution frames are missing.
    """
    path = Path(data).expanduser()
    if path.is_file() or (path.is_dir() and holds_frames(path)):
        videos = [_video(printable(path.stem if path.is_file() else path.resolve().name), path)]
    elif path.is_dir():
        videos = _in_folder(path, scale, degradation)
    else:
        videos = _in_dataset(data, scale, degradation)
    if low is None:
        return videos
    lows = matching(low, [video.name for video in videos])
    return [replace(video, low=partial(read_frames, lows[video.name])) for video in videos]


def _in_folder(path: Path, scale: int, degradation: Degradation | None) -> list[Video]:
    dataset = detect(str(path), scale=scale)
    if not isinstance(dataset, Layout):
        return [_of_shot(shot, degradation) for shot in dataset.held_out() or dataset.train()]
    entries = dataset.entries()
    held_out = [entry for entry in entries if entry.held_out] or entries
    return [_of_entry(entry, scale, degradation) for entry in held_out]


def _of_entry(entry: Entry, scale: int, degradation: Degradation | None) -> Video:
    if entry.high.is_file():
        return _video(entry.name, entry.high)
    shots = open_entry(entry, scale=scale)
    if len(shots) > 1:  # cut where the numbering has gaps, which is for training only
        return _whole(entry.name, entry.high)
    return _of_shot(shots[0], degradation)


def _of_shot(shot: Shot, degradation: Degradation | None) -> Video:
    low = shot.degraded(degradation).low if degradation else None
    given = partial(stream, low) if low is not None and not isinstance(low, MadeLow) else None
    return Video(shot.name, shot.frames, partial(stream, shot.high), given)


def _in_dataset(name: str, scale: int, degradation: Degradation | None) -> list[Video]:
    known = options("data")
    if name not in known:
        raise DataError(
            f"'{name}' is neither a file nor a folder nor the name of a dataset{nearest(name, known)}"
        )
    shots = build(compose({"data": name, "overrides": f"degradation.scale={scale}"}).data).held_out()
    if not shots:
        raise DataError(f"dataset '{name}' has no held-out clips; name a folder instead")
    return [_of_shot(shot, degradation) for shot in shots]


def matching(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The videos or folders of frames that belong to some clips, by the clips' names.

    Args:
        folder: The only clip's video or folder of frames, or a folder that holds those of the clips under
            their names, whatever their suffixes.
        names: The clips.

    Raises:
        DataError: If some are missing; names them.
    """
    names = list(names)
    paths = _below(folder)
    if len(names) == len(paths) == 1:
        return {names[0]: next(iter(paths.values()))}
    by_stem = {_stem(name): path for name, path in paths.items()}
    if missing := [name for name in names if _stem(name) not in by_stem]:
        raise DataError(
            f"'{folder}' lacks {len(missing)} of {len(names)} clips: {', '.join(missing[:5])}; expected a"
            f" video or a folder of frames of that name for each, found {', '.join(list(paths)[:5])}"
        )
    return {name: by_stem[_stem(name)] for name in names}


def _below(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise DataError(f"there is no video file or folder at '{path}'")
    if path.is_file() or holds_frames(path):
        return {printable(path.stem if path.is_file() else path.resolve().name): path}
    videos = find_videos(path)
    if not videos:
        raise DataError(f"expected videos or folders of frames under '{path}', found none")
    return {printable(video.relative_to(path).as_posix()): video for video in videos}


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix() if Path(name).suffix in VIDEO_SUFFIXES else name


def _video(name: str, path: Path) -> Video:
    for note in folder_notes(path) if path.is_dir() else []:
        _log.warning("clip '%s': %s", name, note)
    return _whole(name, path)


def _whole(name: str, path: Path) -> Video:
    facts = probe(path)
    return Video(name, facts.frames, partial(read_frames, path), fps=facts.fps or _FPS)
