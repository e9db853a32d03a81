"""Small videos: of moving shapes, on disk; of texture that moves, in memory."""

import cv2
import numpy as np

from fedvsr_core.data.degradation import Bicubic
from fedvsr_core.data.synthetic import Synthetic


def write_videos(folder, lengths, seed):
    """One video for each number of frames, in a new folder."""
    folder.mkdir(parents=True)
    for number, frames in enumerate(lengths):
        write_video(folder / f"{number}.avi", frames, seed=10 * seed + number)


def write_video(path, frames, seed):
    """One video of 80 x 64 pixels."""
    made = Synthetic(scale=4, clips=1, held_out_clips=0, frames=frames, height=16, width=20, seed=seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (80, 64))
    for frame in made.train()[0].clip().high:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def texture(frames, height, width, seed):
    """Frames (T, H, W, 3) full of detail, which moves by a pixel a frame; each seed has its own."""
    noise = np.random.default_rng(seed).normal(size=(height, width + frames)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    grey = np.clip(128 + 40 * smooth / smooth.std(), 0, 255)
    pixels = (grey[..., None] * [1.0, 0.9, 0.8]).astype(np.uint8)
    return np.stack([pixels[:, number : number + width] for number in range(frames)])


def seen(frames, scale, right=0.0, down=0.0):
    """What a second camera of a lower resolution records, shifted by some high-resolution pixels."""
    matrix = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    size = frames.shape[2], frames.shape[1]
    moved = [
        cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for frame in frames
    ]
    return Bicubic(scale=scale)(np.stack(moved))
