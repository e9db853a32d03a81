"""Moving textures computed from a seed: video without files."""

from functools import partial

import numpy as np

from fedvsr_core.data.clips import Frames
from fedvsr_core.data.shots import Shot

_WAVES = 24


class Synthetic:
    """Textures of sharp-edged waves that drift by fractions of a pixel, each clip in its own direction.

    Attributes:
        scale: Factor from low to high resolution.
        clips: Number of clips to train on.
        held_out_clips: Number of clips to score on.
        frames: Frames a clip.
        height: Low-resolution height.
        width: Low-resolution width.
        seed: Clips are a pure function of the seed and their number.
    """

    def __init__(
        self, *, scale: int, clips: int, held_out_clips: int, frames: int, height: int, width: int, seed: int
    ) -> None:
        self.scale = scale
        self.clips = clips
        self.held_out_clips = held_out_clips
        self.frames = frames
        self.height = height
        self.width = width
        self.seed = seed

    def train(self) -> list[Shot]:
        """Clips to train on."""
        return [self._shot("train", number) for number in range(self.clips)]

    def held_out(self) -> list[Shot]:
        """Clips to score on: other textures, moving otherwise."""
        return [self._shot("held-out", self.clips + number) for number in range(self.held_out_clips)]

    def _shot(self, split: str, number: int) -> Shot:
        height, width = self.height * self.scale, self.width * self.scale
        load = partial(_texture, self.seed, number, self.frames, height, width)
        return Shot(f"synthetic/{split}-{number:03d}", self.frames, height, width, load)


def _texture(seed: int, number: int, frames: int, height: int, width: int) -> Frames:
    """Render a clip (frames, height, width, 3): a clipped sum of waves, all moved by one velocity."""
    rng = np.random.default_rng((seed, number))
    frequency = rng.uniform(-1, 1, (_WAVES, 2)) * np.geomspace(0.02, 0.35, _WAVES)[:, None]  # cycles a pixel
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    colour = rng.normal(size=(_WAVES, 3)) * np.geomspace(1, 0.2, _WAVES)[:, None]
    velocity = rng.uniform(-2, 2, 2)  # pixels a frame
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)  # (H, W, 2)
    clip = np.empty((frames, height, width, 3), np.uint8)
    for time in range(frames):
        waves = np.cos(2 * np.pi * (grid - velocity * time) @ frequency.T + phase)  # (H, W, waves)
        clip[time] = np.rint(127.5 + 110 * np.tanh(waves @ colour))
    return clip
