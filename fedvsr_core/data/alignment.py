"""Whether low-resolution recordings show what the high-resolution ones beside them show, and where."""

import math
import statistics
from dataclasses import dataclass

import cv2
import numpy as np

from fedvsr_core.data.clips import Frames, Pixels
from fedvsr_core.errors import DataError

USUAL_SHIFT, MOST_SHIFT = 0.5, 4.0
"""High-resolution pixels: a larger shift is worth a warning, and one that nothing can be learned from."""
LEAST_LIKENESS = 0.5
"""Correlation of aligned frames below which they show different things; blur and noise leave far more."""
USUAL_COLOUR = 8.0
"""Of 255: a larger difference of a channel's mean is worth a warning."""

_LUMA = np.array([0.299, 0.587, 0.114])
_FLAT = 2.0
"""Standard deviation of luma, of 255, below which nothing is to be seen in a frame."""
_SMALL = 8
_UNTIL = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4)


@dataclass(frozen=True)
class Alignment:
    """How low-resolution frames lie on the high-resolution ones; medians over some frames.

    Attributes:
        right: By how much they are shifted to the right, in high-resolution pixels.
        down: The same downwards.
        likeness: Correlation of the luma of both, once aligned; NaN where nothing is to be seen.
        colour: The largest difference between the means of a channel, of 255.
    """

    right: float
    down: float
    likeness: float
    colour: float

    def __str__(self) -> str:
        """For a person."""
        return (
            f"low resolution lies {self.right:+.1f} pixels to the right and {self.down:+.1f} down of high"
            f" resolution, correlation {self.likeness:.2f}, colours {self.colour:.1f} of 255 apart"
        )

    def check(self, name: str) -> list[str]:
        """What to know of it, in sentences.

        Args:
            name: Of the clip.

        Raises:
            DataError: If nobody could learn from this pair.
        """
        shift = math.hypot(self.right, self.down)
        by = f"shifted by {shift:.1f} high-resolution pixels ({self.right:+.1f}, {self.down:+.1f})"
        if self.likeness < LEAST_LIKENESS:
            raise DataError(
                f"the low- and high-resolution frames of clip '{name}' show different things (correlation"
                f" {self.likeness:.2f}, expected {LEAST_LIKENESS} at least); match their names and frames"
            )
        if shift > MOST_SHIFT:
            raise DataError(
                f"the low-resolution frames of clip '{name}' are {by}, expected {MOST_SHIFT:g} at most;"
                " register them, or leave the clip out"
            )
        notes = []
        if shift > USUAL_SHIFT:
            notes.append(f"its low-resolution frames are {by}; a network learns to shift them back")
        if self.colour > USUAL_COLOUR:
            notes.append(
                f"the means of a channel differ by {self.colour:.0f} of 255 between low and high resolution;"
                " a network learns these colours, too"
            )
        return notes


def align(high: Pixels, low: Pixels) -> Alignment:
    """See how low-resolution frames lie on the high-resolution ones: three of them, by their luma.

    Args:
        high: (T, sH, sW, 3).
        low: (T, H, W, 3).

    Sources: phase correlation (Kuglin and Hines, 1975) for the start, then the largest correlation
    (Evangelidis and Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient
    Maximization", 2008).
    """
    places = {0, high.shape[0] // 2, high.shape[0] - 1}
    measured = [_align(_frame(high, place), _frame(low, place)) for place in places]
    telling = [values for values in measured if not math.isnan(values[2])] or measured
    right, down, likeness, colour = (statistics.median(values) for values in zip(*telling, strict=True))
    return Alignment(right, down, likeness, colour)


def _frame(pixels: Pixels, number: int) -> Frames:
    _, height, width, _ = pixels.shape
    frames = pixels[number : number + 1, 0:height, 0:width]
    return np.asarray(frames[0])


def _align(high: Frames, low: Frames) -> tuple[float, float, float, float]:
    size = low.shape[1], low.shape[0]
    scale = high.shape[1] / low.shape[1]
    shrunk, seen = cv2.resize(high @ _LUMA, size, interpolation=cv2.INTER_AREA), low @ _LUMA
    colours = np.abs(high.mean(axis=(0, 1)) - low.mean(axis=(0, 1)))
    if min(shrunk.std(), seen.std()) < _FLAT or min(size) < _SMALL:
        return 0.0, 0.0, math.nan, float(colours.max())
    window = cv2.createHanningWindow(size, cv2.CV_64F)
    (right, down), _ = cv2.phaseCorrelate(shrunk.copy(), seen.copy(), window)  # which writes into them
    start = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
    try:
        likeness, moved = cv2.findTransformECC(
            seen.astype(np.float32), shrunk.astype(np.float32), start, cv2.MOTION_TRANSLATION, _UNTIL
        )
    except cv2.error:  # it doesn't converge where they have nothing in common
        likeness, moved = 0.0, start
    right, down = -scale * float(moved[0][2]), -scale * float(moved[1][2])
    return right, down, float(likeness), float(colours.max())
