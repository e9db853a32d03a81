"""Which input goes to which output."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedvsr_core.data.images import holds_frames
from fedvsr_core.data.layouts.videos import find_videos
from fedvsr_core.errors import DataError


@dataclass(frozen=True)
class Pair:
    """One video and where it goes.

    Attributes:
        source: Video file, or folder of frames.
        target: Video file, or folder for PNGs.
    """

    source: Path
    target: Path


def pair_up(inputs: Sequence[Path], output: Path, kind: str) -> list[Pair]:
    """Name the output of each input.

    A single video or folder of frames goes to the output itself. Several of them, or the videos under a
    folder, go into the output as a folder, under the names that they have.

    Args:
        inputs: Videos, folders of frames, folders of these.
        output: A video file or a folder.
        kind: Suffix of the video files in a folder; ``png``: folders of PNGs.

    Raises:
        DataError: If an input holds no videos, or several are to go into one file.
    """
    if len(inputs) == 1 and (not inputs[0].is_dir() or holds_frames(inputs[0])):
        return [Pair(inputs[0], output)]
    if output.suffix and not output.is_dir():
        raise DataError(f"several videos can't go into one file '{output}'; name a folder")
    named: list[tuple[Path, Path]] = []
    for path in inputs:
        if not path.is_dir() or holds_frames(path):
            named.append((path, Path(path.name)))
            continue
        videos = find_videos(path)
        if not videos:
            raise DataError(f"expected video files or folders of frames under '{path}', found none")
        named += [(video, video.relative_to(path)) for video in videos]
    suffix = "" if kind == "png" else f".{kind.removeprefix('.')}"
    plain = Counter(_stem(source, name) for source, name in named)
    targets = [
        output / (f"{name}{suffix}" if plain[_stem(source, name)] > 1 else f"{_stem(source, name)}{suffix}")
        for source, name in named
    ]
    if twice := [target for target, count in Counter(targets).items() if count > 1]:
        raise DataError(
            f"{len(twice)} outputs would have the name of another one, such as '{twice[0]}'; rename it"
        )
    return [Pair(source, target) for (source, _), target in zip(named, targets, strict=True)]


def _stem(source: Path, name: Path) -> Path:
    return name if source.is_dir() else name.with_suffix("")
