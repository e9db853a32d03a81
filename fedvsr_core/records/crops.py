"""A sheet of held-out crops: bicubic, the model and the ground truth side by side."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.psnr import psnr

Frame = npt.NDArray[np.uint8]
"""One frame (H, W, 3), RGB."""

CROP = 80  # pixels of the high-resolution frame
SHOWN = 320  # pixels of the sheet that a crop takes, a multiple of CROP
_GAP, _CAPTION, _DPI = 12, 26, 100  # pixels, pixels, pixels an inch
_TRUTH = "ground truth"
_DETAIL = 9  # pixels, height and width of the window whose contrast counts as detail


@dataclass(frozen=True)
class Sample:
    """One frame of a held-out clip, three times; all of shape (H, W, 3), uint8 RGB.

    Attributes:
        name: The clip.
        bicubic: Upscaled by bicubic interpolation.
        ours: Upscaled by the model.
        truth: The ground truth.
    """

    name: str
    bicubic: Frame
    ours: Frame
    truth: Frame


def draw_crops(samples: Sequence[Sample], path: Path) -> None:
    """Draw a row for each sample: its most detailed part, enlarged without smoothing.

    The captions say PSNR-Y of the whole frames, in dB.

    Args:
        samples: At least one.
        path: The PNG to write.

    Raises:
        ShapeError: If the three frames of a sample differ in shape.
    """
    width = 3 * SHOWN + 4 * _GAP
    height = len(samples) * (2 * _CAPTION + SHOWN) + 2 * _GAP
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    for index, sample in enumerate(samples):
        top = height - _GAP - index * (2 * _CAPTION + SHOWN)
        _draw_row(figure, sample, top, width, height)
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
    deviation = np.sqrt(np.maximum(cv2.blur(grey**2, window) - cv2.blur(grey, window) ** 2, 0.0))
    sums = np.pad(deviation, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)  # (H + 1, W + 1)
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    row, column = np.unravel_index(np.argmax(np.round(inside, 3)), inside.shape)
    return int(row), int(column)


def _draw_row(figure: Figure, sample: Sample, top: int, width: int, height: int) -> None:
    columns = {"bicubic": sample.bicubic, "ours": sample.ours, _TRUTH: sample.truth}
    if len({frame.shape for frame in columns.values()}) > 1:
        shapes = ", ".join(f"{name} {frame.shape}" for name, frame in columns.items())
        raise ShapeError(f"the frames of '{sample.name}' must have one shape, got {shapes}")
    size = min(CROP, *sample.truth.shape[:2])
    row, column = most_detailed(sample.truth, size)
    place = f"{sample.name}: {size} x {size} pixels at row {row}, column {column}"
    figure.text(
        _GAP / width, (top - _CAPTION / 2) / height, place, fontsize=10, fontweight="bold", va="center"
    )
    for index, (name, frame) in enumerate(columns.items()):
        left, bottom = _GAP + index * (SHOWN + _GAP), top - _CAPTION - SHOWN
        crop = frame[row : row + size, column : column + size]
        figure.figimage(_enlarge(crop), left, bottom, origin="upper")
        score = "" if name == _TRUTH else f", frame's PSNR-Y {psnr(frame, sample.truth, channel='y'):.2f} dB"
        figure.text(left / width, (bottom - _CAPTION / 2) / height, name + score, fontsize=9, va="center")


def _enlarge(crop: Frame) -> Frame:
    factor = SHOWN // crop.shape[0]
    return crop.repeat(factor, axis=0).repeat(factor, axis=1)
