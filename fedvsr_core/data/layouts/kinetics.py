"""Kinetics-400: video files of human actions, each with one of 400 labels.

Source: Kay et al., arXiv 1705.06950.
"""

import csv
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fedvsr_core.components import Count
from fedvsr_core.data.images import VIDEO_SUFFIXES
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.data.layouts.layout import Layout
from fedvsr_core.data.layouts.videos import find_videos
from fedvsr_core.errors import DataError


class Kinetics(Layout):
    """``<label>/<id>_<start>_<end>.mp4``, or all files anywhere with their labels in the published list.

    What can't be read is left out with a warning.

    Attributes:
        folder: Folder with the videos.
        annotations: The published list, CSV with the columns ``label`` and ``youtube_id``; None takes each
            file's folder for its label.
        labels: Labels to take, the first ones in alphabetical order; None takes all.
        clips_per_label: Clips to take of each label, the first ones by name; None takes all.
        max_frames: Frames taken of each clip at most, from its start.
        fps: Frames a second to take; None takes every frame.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
    """

    title = "Kinetics"
    lenient = True

    def __init__(
        self,
        *,
        folder: str,
        annotations: str | None,
        labels: Count | None,
        clips_per_label: Count | None,
        max_frames: Count | None,
        fps: Annotated[float, Field(gt=0)] | None,
        scale: Count,
    ) -> None:
        super().__init__(folder, scale, max_frames=max_frames, fps=fps)
        self.annotations = None if annotations is None else Path(annotations).expanduser()
        self.labels = labels
        self.clips_per_label = clips_per_label

    def entries(self) -> list[Entry]:
        """The clips by label, then name.

        Raises:
            DataError: If there are no videos, or the list is missing or names none of them.
        """
        by_id = None if self.annotations is None else _read_labels(self.annotations)
        clips: dict[str, list[Path]] = {}
        for path in find_videos(self.folder):
            if path.suffix.lower() in VIDEO_SUFFIXES:
                label = path.parent.name if by_id is None else by_id.get(path.stem, by_id.get(path.stem[:11]))
                if label is not None:
                    clips.setdefault(label, []).append(path)
        if not clips:
            where = f" with a label in '{self.annotations}'" if self.annotations else ""
            raise DataError(f"expected video files{where} under '{self.folder}', found none")
        return [
            Entry(f"{label}/{path.stem}", path, label=label)
            for label in sorted(clips)[: self.labels]
            for path in clips[label][: self.clips_per_label]
        ]


def _read_labels(path: Path) -> dict[str, str]:
    """From the identifier of a video (11 characters) to its label."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["youtube_id"]: row["label"] for row in csv.DictReader(file) if row["label"]}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"'{path}' can't be read as the list of Kinetics, a CSV file with the columns label and"
            f" youtube_id: {error!r}"
        ) from error
