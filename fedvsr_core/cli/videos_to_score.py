"""Which videos an evaluation is about: files, folders, or the held-out clips of a dataset."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from fedvsr_core.components import build, nearest
from fedvsr_core.config import compose, options
from fedvsr_core.data.frames import IMAGE_SUFFIXES, Frame, count_frames, probe, read_frames
from fedvsr_core.data.layouts.videos import find_videos
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.scoring import Video

_TRUTHS = ("GT", "gt", "HR", "hr", "truth", "original")
"""Folders in which published sets keep their ground truth, beside others."""
_MANY = 2**31
_FPS = 25.0


def videos_to_score(data: str, *, scale: int, low: Path | None) -> list[Video]:
    """Find the ground truth.

    Args:
        data: A video file; a folder of frames; a folder of either, searched with all folders under it (where
            it has a folder ``GT`` or another of `_TRUTHS`, only that); or a name of ``conf/data``, whose
            held-out clips are meant.
        scale: Factor from low to high resolution.
        low: Low-resolution frames: as `matching`. None: they are made.

    Raises:
        DataError: If there is nothing of the kind, or low-resolution frames are missing.
    """
    path = Path(data).expanduser()
    if path.exists():
        found = _below(path)
        lows = matching(low, list(found)) if low else {}
        return [_video(name, file, lows.get(name)) for name, file in found.items()]
    known = options("data")
    if data not in known:
        raise DataError(
            f"'{data}' is neither a file nor a folder nor the name of a dataset{nearest(data, known)}"
        )
    if low:
        raise DataError(f"dataset '{data}' makes its low-resolution frames; leave --low-frames out")
    shots = build(compose({"data": data, "overrides": f"degradation.scale={scale}"}).data).held_out()
    if not shots:
        raise DataError(f"dataset '{data}' has no held-out clips; name a folder instead")
    return [Video(shot.name, shot.frames, partial(_frames_of, shot)) for shot in shots]


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
    found = _below(folder)
    if len(names) == len(found) == 1:
        return {names[0]: next(iter(found.values()))}
    by_stem = {_stem(name): path for name, path in found.items()}
    if missing := [name for name in names if _stem(name) not in by_stem]:
        raise DataError(
            f"'{folder}' lacks {len(missing)} of {len(names)} clips: {', '.join(missing[:5])}; expected a"
            f" video or a folder of frames of that name for each, found {', '.join(list(found)[:5])}"
        )
    return {name: by_stem[_stem(name)] for name in names}


def _below(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise DataError(f"there is no video file or folder at '{path}'")
    if path.is_file() or _holds_images(path):
        return {path.stem if path.is_file() else path.resolve().name: path}
    root = next((path / name for name in _TRUTHS if (path / name).is_dir()), path)
    videos = find_videos(root)
    if not videos:
        raise DataError(f"expected videos or folders of frames under '{path}', found none")
    # Vid4 and its kind: <clip>/truth/*.png beside <clip>/<low>/*.png.
    truths = [video for video in videos if video.name in _TRUTHS]
    return {(v.parent if truths else v).relative_to(root).as_posix(): v for v in truths or videos}


def _holds_images(folder: Path) -> bool:
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in folder.iterdir())


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix()


def _video(name: str, path: Path, low: Path | None) -> Video:
    facts = probe(path)
    high: Callable[[], Iterator[Frame]] = partial(read_frames, path)
    return Video(
        name,
        facts.frames or count_frames(path, _MANY),
        high,
        partial(read_frames, low) if low else None,
        facts.fps or _FPS,
    )


def _frames_of(shot: Shot) -> Iterator[Frame]:
    return iter(shot.clip().high)
