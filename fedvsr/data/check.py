"""What is wrong with the clips of a dataset: every problem at once, each in one sentence with its remedy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fedvsr_core.data.alignment import align
from fedvsr_core.data.decoding import decode
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import same_size
from fedvsr_core.data.images import (
    IMAGE_SUFFIXES,
    extra_images,
    gaps,
    image_files,
    image_size,
    read_image,
    some,
    visible_files,
)
from fedvsr_core.data.layouts.entry import Entry, open_entry, open_low
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.errors import DataError


@dataclass
class Finding:
    """What a clip is, and what is wrong with it.

    Attributes:
        name: Name of the clip.
        frames: Frames that can be read.
        height: Pixels, 0 if nobody knows.
        width: Pixels, 0 if nobody knows.
        fps: Frames a second, or None for a folder of images.
        low: ``given`` or ``made``: where its low-resolution frames come from.
        label: Class of what it shows, or None.
        held_out: Whether nobody trains on it.
        problems: What makes it unusable, or leaves some of it out.
        notes: What needs no remedy, but should be known.
    """

    name: str
    frames: int = 0
    height: int = 0
    width: int = 0
    fps: float | None = None
    low: str = "made"
    label: str | None = None
    held_out: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_all(layout: Layout, *, quick: bool, workers: int = 2) -> Iterator[Finding]:
    """Check every clip of a dataset.

    Args:
        layout: The dataset.
        quick: Whether to read only the headers of images, and decode no video.
        workers: Clips that are checked in parallel.

    Yields:
        A finding for each clip, in order.

    Raises:
        DataError: If the folder isn't laid out as expected.
    """
    entries = layout.entries()
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda entry: check_entry(entry, scale=layout.scale, quick=quick), entries)


def check_entry(entry: Entry, *, scale: int, quick: bool) -> Finding:
    """Check one clip; arguments as for `check_all`."""
    finding = Finding(entry.name, label=entry.label, held_out=entry.held_out)
    if entry.low is not None:
        finding.low = "given"
    if entry.high.is_file():
        _check_video(entry, finding, quick)
    elif not entry.high.is_dir():
        finding.problems.append(f"there is no '{entry.high}'; restore it")
    else:
        _check_folder(entry, finding, quick)
    if entry.low is not None:
        _check_low(entry, entry.low, finding, scale, quick)
    if finding.height:
        _check_size(finding, scale)
    return finding


def _check_size(finding: Finding, scale: int) -> None:
    size = f"{finding.width}x{finding.height}"
    if min(finding.height, finding.width) < scale:
        finding.problems.append(f"frames of {size} are smaller than {scale}x{scale}; remove the clip")
    elif finding.height % scale or finding.width % scale:
        finding.notes.append(
            f"{size} isn't a multiple of {scale}: {finding.height % scale} rows at the bottom and"
            f" {finding.width % scale} columns at the right are cut off"
        )


def _check_video(entry: Entry, finding: Finding, quick: bool) -> None:
    if posters := [file.name for file in visible_files(entry.high.parent, IMAGE_SUFFIXES)]:
        finding.notes.append(f"{some(posters)} beside the video is no frame of a clip and left out")
    try:
        index = index_of(entry.high)
        finding.frames, finding.fps = len(index.times), float(index.rate)
        finding.height, finding.width = index.shown.height, index.shown.width
        finding.notes += index.shown.notes()
        if index.lost:
            finding.problems.append(f"{index.lost}; what can be read is used, copy or re-encode the file")
        if index.variable:
            steps = np.sort(np.diff(index.seconds())) * 1000
            finding.notes.append(
                f"frame rate varies, {steps[0]:.0f} to {steps[-1]:.0f} ms a frame: frames are taken as coded"
            )
        index.shown.check(entry.high)
        if not quick:
            for _ in same_size(decode(entry.high), entry.high):
                pass
    except DataError as error:
        finding.problems.append(str(error))


def _check_folder(entry: Entry, finding: Finding, quick: bool) -> None:
    files = _check_images(entry.high, finding, quick)
    finding.frames = len(files)
    if not files:
        return
    if entry.frames is not None and len(files) != entry.frames:
        finding.problems.append(
            f"has {len(files)} frames, but the published set has {entry.frames}; extract it anew"
        )
    names = [file.name for file in files]
    if jumps := gaps(names):
        finding.problems.append(
            f"{jumps}; restore the missing frames, or leave it so and the clip is cut there"
        )
    if extra := extra_images(entry.high):
        finding.notes.append(extra)
    try:
        finding.height, finding.width = image_size(files[0])
    except DataError:
        return  # it is among the problems already


def _check_low(entry: Entry, folder: Path, finding: Finding, scale: int, quick: bool) -> None:
    if not folder.exists():
        finding.problems.append(f"there are no low-resolution frames '{folder}'; restore them")
        return
    about_low = Finding(entry.name)
    if folder.is_file():
        _check_video(replace(entry, high=folder), about_low, quick)
    else:
        _check_images(folder, about_low, quick)
    finding.problems += [f"low-resolution frames: {problem}" for problem in about_low.problems]
    finding.notes += [f"low-resolution frames: {note}" for note in about_low.notes]
    if finding.height and not any(
        "0 bytes" in text or "can't be read" in text for text in about_low.problems
    ):
        try:
            open_low(entry, folder, scale, finding.frames, finding.height, finding.width)
            if not quick and entry.low_by is None:
                finding.notes += _alignment(entry, scale)
        except DataError as error:
            finding.problems.append(str(error))


def _alignment(entry: Entry, scale: int) -> list[str]:
    """What to know of how recordings of both resolutions lie on each other; raises DataError."""
    notes = []
    for shot in open_entry(entry, scale=scale):
        if shot.low is not None:
            alignment = align(shot.high, shot.low)
            notes += alignment.check(shot.name) or [str(alignment)]
    return notes


def _check_images(folder: Path, finding: Finding, quick: bool) -> list[Path]:
    """Look at all images of a folder; returns them in order."""
    others = sorted(
        file.name
        for file in folder.iterdir()
        if file.is_file() and file.suffix.lower() not in IMAGE_SUFFIXES and not file.name.startswith(".")
    )
    if others:
        finding.notes.append(f"{some(others)} among the frames is no image and is left out")
    try:
        files = image_files(folder)
    except DataError as error:
        finding.problems.append(str(error))
        return []
    empty, broken, deep, sizes = [], [], [], dict[tuple[int, int], list[str]]()
    for file in files:
        if not file.stat().st_size:
            empty.append(file.name)
            continue
        try:
            sizes.setdefault(image_size(file), []).append(file.name)
            if not quick:
                with Image.open(file) as image:
                    image.verify()
                if read_image(file, as_stored=True).dtype != np.uint8:
                    deep.append(file.name)
        except (DataError, OSError, SyntaxError):  # the last is what PIL says of broken PNGs
            broken.append(file.name)
    if empty:
        finding.problems.append(f"{some(empty)} has 0 bytes; extract it anew")
    if broken:
        finding.problems.append(f"{some(broken)} can't be read as an image; extract it anew")
    if deep:
        finding.notes.append(
            f"{some(deep)} has 16 bits, which are reduced to 8; convert it for another rounding"
        )
    if len(sizes) > 1:
        usual = max(sizes, key=lambda size: len(sizes[size]))
        odd = [name for size, names in sizes.items() if size != usual for name in names]
        finding.problems.append(
            f"frames must have one size, {usual[1]}x{usual[0]} as most, but {some(odd)} has another;"
            " replace or remove it"
        )
    return files
