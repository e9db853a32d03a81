"""Moving textures computed from a seed: video without files."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from fedvsr_core.components import Count, Whole
from fedvsr_core.data.clips import Box, Frames
from fedvsr_core.data.shots import Shot

_WAVES = 24
_MOST = 100_000
"""Clips."""


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
        self,
        *,
        scale: Count,
        clips: Annotated[int, Field(ge=1, le=_MOST)],
        held_out_clips: Annotated[int, Field(ge=0, le=_MOST)],
        frames: Count,
        height: Count,
        width: Count,
        seed: Whole,
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
        texture = Texture(self.seed, number, self.frames, self.height * self.scale, self.width * self.scale)
        return Shot(f"synthetic/{split}-{number:03d}", texture)


@dataclass(frozen=True)
class Texture:
    """A clipped sum of waves, all moved by one velocity; computed when sliced.

    Attributes:
        seed: Seed of a family of textures.
        number: Which of the family.
        frames: Frames.
        height: Pixels.
        width: Pixels.
    """

    seed: int
    number: int
    frames: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return self.frames, self.height, self.width, 3

    def __getitem__(self, box: Box, /) -> Frames:
        rng = np.random.default_rng((self.seed, self.number))
        frequency = rng.uniform(-1, 1, (_WAVES, 2)) * np.geomspace(0.02, 0.35, _WAVES)[:, None]  # 1 / pixel
        phase = rng.uniform(0, 2 * np.pi, _WAVES)
        colour = rng.normal(size=(_WAVES, 3)) * np.geomspace(1, 0.2, _WAVES)[:, None]
        velocity = rng.uniform(-2, 2, 2)  # pixels a frame
        times, rows, columns = (range(size)[side] for side, size in zip(box, self.shape[:3], strict=True))
        grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)  # (H, W, 2)
        clip = np.empty((len(times), len(rows), len(columns), 3), np.uint8)
        for frame, time in zip(clip, times, strict=True):
            waves = np.cos(2 * np.pi * (grid - velocity * time) @ frequency.T + phase)  # (H, W, waves)
            frame[:] = np.rint(127.5 + 110 * np.tanh(waves @ colour))
        return clip
