"""A sheet of held-out crops: bicubic, the model and the ground truth side by side."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ShapeError
from fedvsr_core.evaluation.held_out import Sample
from fedvsr_core.metrics.psnr import psnr

Frame = npt.NDArray[np.uint8]
"""One frame (H, W, 3), RGB."""

CROP = 80  # pixels of the high-resolution frame
SHOWN = 320  # pixels of the sheet that a crop takes, a multiple of CROP
_GAP, _CAPTION, _DPI = 12, 26, 100  # pixels, pixels, pixels an inch
TRUTH, BICUBIC = "ground truth", "bicubic"
_DETAIL = 9  # pixels, height and width of the window whose contrast counts as detail


def draw_crops(samples: Sequence[Sample], path: Path) -> None:
    """Draw a row for each sample: its most detailed part, enlarged without smoothing.

    The captions say PSNR-Y of the whole frames, in dB.

    Args:
        samples: At least one.
        path: The PNG to write.

    Raises:
        ShapeError: If the three frames of a sample differ in shape.
    """
    rows = [
        (sample.name, {BICUBIC: sample.bicubic, "ours": sample.ours, TRUTH: sample.truth})
        for sample in samples
    ]
    draw_rows(rows, path)


def draw_rows(rows: Sequence[tuple[str, Mapping[str, Frame]]], path: Path) -> None:
    """Draw a row for each clip, with a crop from each of its frames.

    Args:
        rows: The name of each clip, and its frames by caption, `TRUTH` among them. With several models, the
            crop lies where these differ most; with one, where there is most detail.
        path: The PNG to write.

    Raises:
        ShapeError: If the frames of a clip differ in shape.
    """
    columns = max(len(frames) for _, frames in rows)
    width = columns * SHOWN + (columns + 1) * _GAP
    height = len(rows) * (2 * _CAPTION + SHOWN) + 2 * _GAP
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    for index, (name, frames) in enumerate(rows):
        top = height - _GAP - index * (2 * _CAPTION + SHOWN)
        _draw_row(figure, name, frames, top, width, height)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI)
    write_atomically(path, picture.getvalue())


def most_detailed(truth: Frame, size: int) -> tuple[int, int]:
    """Where a frame has most detail: the crop with the highest mean of local standard deviations.

    Args:
        truth: The frame (H, W, 3).
        size: Height and width of the crop, at most those of the frame.

    Returns:
        Row and column of the crop's upper left corner; the first of equals.
    """
    grey = truth.astype(np.float64).mean(axis=2)
    window = (_DETAIL, _DETAIL)
    return _richest(np.sqrt(np.maximum(cv2.blur(grey**2, window) - cv2.blur(grey, window) ** 2, 0.0)), size)


def most_different(frames: Sequence[Frame], size: int) -> tuple[int, int]:
    """Where several versions of a frame differ most: the crop with the highest mean of their deviations.

    Args:
        frames: At least two, (H, W, 3) each.
        size: Height and width of the crop, at most those of the frames.

    Returns:
        As `most_detailed`.
    """
    greys = np.stack([frame.astype(np.float64).mean(axis=2) for frame in frames])
    return _richest(greys.std(axis=0), size)


def place_of_crop(frames: Mapping[str, Frame], size: int) -> tuple[int, int]:
    """Where the models among these frames differ most, or, with a single one, where there is most detail."""
    models = [frame for name, frame in frames.items() if name not in (TRUTH, BICUBIC)]
    return most_different(models, size) if len(models) > 1 else most_detailed(frames[TRUTH], size)


def _richest(amounts: npt.NDArray[np.float64], size: int) -> tuple[int, int]:
    sums = np.pad(amounts, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)  # (H + 1, W + 1)
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    row, column = np.unravel_index(np.argmax(np.round(inside, 3)), inside.shape)
    return int(row), int(column)


def _draw_row(
    figure: Figure, clip: str, frames: Mapping[str, Frame], top: int, width: int, height: int
) -> None:
    if len({frame.shape for frame in frames.values()}) > 1:
        shapes = ", ".join(f"{name} {frame.shape}" for name, frame in frames.items())
        raise ShapeError(f"the frames of '{clip}' must have one shape, got {shapes}")
    truth = frames[TRUTH]
    size = min(CROP, *truth.shape[:2])
    row, column = place_of_crop(frames, size)
    place = f"{clip}: {size} x {size} pixels at row {row}, column {column}"
    figure.text(
        _GAP / width, (top - _CAPTION / 2) / height, place, fontsize=10, fontweight="bold", va="center"
    )
    for index, (name, frame) in enumerate(frames.items()):
        left, bottom = _GAP + index * (SHOWN + _GAP), top - _CAPTION - SHOWN
        crop = frame[row : row + size, column : column + size]
        figure.figimage(_enlarge(crop), left, bottom, origin="upper")
        score = "" if name == TRUTH else f", frame's PSNR-Y {psnr(frame, truth, channel='y'):.2f} dB"
        figure.text(left / width, (bottom - _CAPTION / 2) / height, name + score, fontsize=9, va="center")


def _enlarge(crop: Frame) -> Frame:
    factor = SHOWN // crop.shape[0]
    return crop.repeat(factor, axis=0).repeat(factor, axis=1)
