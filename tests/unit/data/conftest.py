"""Small videos on disk."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def noise():
    """Seven frames (7, 24, 32, 3) of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (7, 24, 32, 3), dtype=np.uint8)


@pytest.fixture
def write_video():
    """Writes frames to a lossless video file."""

    def write(path, frames, fps=12.5):
        size = frames.shape[2], frames.shape[1]
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), fps, size)
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return path

    return write


@pytest.fixture
def write_images():
    """Writes frames to PNG files of one folder."""

    def write(folder, frames, pattern="frame{}.png"):
        folder.mkdir(parents=True)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / pattern.format(number)), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return folder

    return write
