"""The crops of a run, as a page carries them: pictures inside the file."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedvsr_core.metrics.names import METRICS
from server_app.page.rendering import shown
from server_app.records.crop_series import BICUBIC, INDEX, NEWEST, TRUTH, Index, rounds_of
from server_app.records.history import Evaluation

MOST_BYTES = 1_500_000
"""Of pictures on one page; without room, the clip doesn't move, and then fewer rounds are there."""


def crops_of(folder: Path, scored: Sequence[Evaluation]) -> dict[str, Any] | None:
    """The crops of a run's folder for the page's script; None if there are none yet.

    Args:
        folder: The run's folder of crops.
        scored: Its evaluations, for the score of each clip.

    Raises:
        CheckpointError: If what is there is damaged.
    """
    rounds = rounds_of(folder)
    if not rounds or not (folder / INDEX).is_file():
        return None
    index = Index.read(folder)
    by_round = {evaluation.round: evaluation for evaluation in scored}
    pictures = {folder / TRUTH: index.frames, folder / BICUBIC: index.frames} | dict.fromkeys(
        rounds.values(), 1
    )
    sizes = {index.check(path, columns): path.stat().st_size for path, columns in pictures.items()}
    while len(rounds) > 2 and sum(sizes[path] for path in rounds.values()) > MOST_BYTES // 2:
        numbers = list(rounds)
        rounds = {number: rounds[number] for number in (*numbers[:-1:2], numbers[-1])}
    newest = folder / NEWEST
    ours = [
        _picture(path, 1, _scores(by_round.get(number), index.clips), number)
        for number, path in rounds.items()
    ]
    total = sum(sizes[path] for path in (*rounds.values(), folder / TRUTH, folder / BICUBIC))
    plays = newest.is_file() and total + newest.stat().st_size <= MOST_BYTES
    if plays:
        index.check(newest, index.frames)
        last = max(rounds)
        ours[-1] = _picture(newest, index.frames, _scores(by_round.get(last), index.clips), last)
    known = next((evaluation for evaluation in scored if evaluation.bicubic_clips), None)
    bicubic = [
        _clip_score(known.bicubic_clips.get(clip, {}), known.headline) if known else ""
        for clip in index.clips
    ]
    return {
        "clips": [shown(clip, 80) for clip in index.clips],
        "frames": index.frames if plays else 1,
        "still": index.still,
        "left": 0,
        "right": 1,
        "kinds": [
            {"name": "bicubic", "pictures": [_picture(folder / BICUBIC, index.frames, bicubic)]},
            {"name": "ours", "pictures": ours},
            {"name": "ground truth", "pictures": [_picture(folder / TRUTH, index.frames)]},
        ],
    }


def embedded(content: bytes, kind: str = "webp") -> str:
    """A picture as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _picture(path: Path, columns: int, scores: Sequence[str] = (), number: int = 0) -> dict[str, Any]:
    return {
        "source": embedded(path.read_bytes()),
        "columns": columns,
        "round": number,
        "scores": list(scores),
    }


def _scores(evaluation: Evaluation | None, clips: Sequence[str]) -> list[str]:
    if evaluation is None:
        return []
    return [_clip_score(evaluation.clips.get(clip, {}), evaluation.headline) for clip in clips]


def _clip_score(scores: Mapping[str, float], metric: str) -> str:
    return f"{METRICS[metric].label} {METRICS[metric].value(scores[metric])}" if metric in scores else ""
