"""Where one shot ends and the next begins, and which frames hardly differ from the one before."""

import cv2
import numpy as np
import numpy.typing as npt

from fedvsr_core.data.frames import Frame

_WIDTH = 128


class ShotChanges:
    """Looks at frames in order and says where a new shot begins.

    Each frame is reduced to 128 columns; a new shot begins where hue, saturation and value differ from the
    frame before by more than the threshold, in the mean over pixels and the three. Cuts are found, fades not.

    Attributes:
        threshold: Mean absolute difference, of 255. PySceneDetect's detector of the same kind uses 27.
    """

    def __init__(self, *, threshold: float) -> None:
        self.threshold = threshold
        self._before: npt.NDArray[np.float32] | None = None

    def begins(self, frame: Frame) -> bool:
        """Whether the frame is the first of a new shot; the very first frame isn't."""
        small = cv2.cvtColor(_reduced(frame), cv2.COLOR_RGB2HSV_FULL).astype(np.float32)
        before, self._before = self._before, small
        if before is None:
            return False
        difference = np.abs(small - before)
        difference[..., 0] = np.minimum(difference[..., 0], 256 - difference[..., 0])  # hue is a circle
        return float(difference.mean()) > self.threshold


class NearDuplicates:
    """Looks at frames in order and says which hardly differ from the last one that was kept.

    Attributes:
        threshold: Mean absolute difference of the luma of reduced frames, of 255; 0 drops none.
    """

    def __init__(self, *, threshold: float) -> None:
        self.threshold = threshold
        self._kept: npt.NDArray[np.float32] | None = None

    def drops(self, frame: Frame) -> bool:
        """Whether the frame can be left out."""
        small = cv2.cvtColor(_reduced(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
        if self._kept is not None and float(np.abs(small - self._kept).mean()) < self.threshold:
            return True
        self._kept = small
        return False


def _reduced(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    size = (min(width, _WIDTH), max(height * min(width, _WIDTH) // width, 1))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
