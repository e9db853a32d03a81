"""Realistic low-resolution frames: blur, shrinking, noise and compression, in an order of your choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, Protocol

import cv2
import numpy as np
from pydantic import Field

from fedvsr_core.components import Count, Whole
from fedvsr_core.data.clips import Frames
from fedvsr_core.data.degradation import Place, bicubic_down
from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.seeds import derive

Range = tuple[float, float]
"""Smallest and largest value; each clip's is drawn from between, all equally likely."""
_Sigma = Annotated[float, Field(ge=0, le=255)]
_Variance = Annotated[float, Field(ge=0, le=255**2)]
_Quality = Annotated[float, Field(ge=1, le=100)]


class Step(Protocol):
    """One thing that happens to frames.

    `reach` and `grid` mean what they do for a `Degradation`, but in the pixels that the step is given.
    """

    @property
    def range(self) -> Range:
        """Range of its one parameter."""

    @property
    def reach(self) -> int | None:
        """Pixels around a crop that it depends on; None: it depends on the whole clip."""

    @property
    def grid(self) -> int:
        """Pixels from one place where a crop may begin to the next."""

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Change frames (T, H, W, 3), by a parameter drawn from the range."""


@dataclass(frozen=True)
class Blur:
    """Gaussian blur; the parameter is sigma in pixels."""

    sigma: tuple[_Sigma, _Sigma]
    grid = 1

    @property
    def range(self) -> Range:
        """Range of sigma."""
        return self.sigma

    @property
    def reach(self) -> int:
        """Half of the widest kernel."""
        return ceil(3 * self.sigma[1])

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Blur each frame."""
        if value <= 0:
            return frames
        side = 2 * ceil(3 * value) + 1
        return np.stack([_u8(cv2.GaussianBlur(frame, (side, side), value)) for frame in frames])


@dataclass(frozen=True)
class Shrink:
    """MATLAB's bicubic resizing to the low resolution; a camera has exactly one such step."""

    range = (0.0, 0.0)
    reach = 2
    grid = 1

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Shrink each frame by ``value``, the scale."""
        return bicubic_down(frames, int(value))


@dataclass(frozen=True)
class GaussianNoise:
    """Independent normal noise in each pixel and channel; the parameter is sigma, of 255."""

    sigma: tuple[_Sigma, _Sigma]
    reach = 0
    grid = 1

    @property
    def range(self) -> Range:
        """Range of sigma."""
        return self.sigma

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Add noise that is the same for the same pixel of the same clip."""
        noisy = [frame + value * noise for frame, noise in _with_noise(frames, place, seed)]
        return _rounded(np.stack(noisy))


@dataclass(frozen=True)
class PhotonNoise:
    """Noise whose variance grows with brightness, as that of counted photons; normal approximation.

    The parameter is the variance of a white pixel, of 255: a pixel ``v`` gets the variance ``v / 255`` of it.
    """

    variance: tuple[_Variance, _Variance]
    reach = 0
    grid = 1

    @property
    def range(self) -> Range:
        """Range of the variance of white."""
        return self.variance

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Add noise that is the same for the same pixel of the same clip."""
        noisy = [
            frame + np.sqrt(value * frame / 255.0) * noise
            for frame, noise in _with_noise(frames, place, seed)
        ]
        return _rounded(np.stack(noisy))


@dataclass(frozen=True)
class Jpeg:
    """JPEG of each frame, 4:2:0; the parameter is the quality of the Independent JPEG Group, 1 to 100."""

    quality: tuple[_Quality, _Quality]
    reach = 16  # blocks of colour are 16 pixels wide, and colour is smoothed over their edges
    grid = 16

    @property
    def range(self) -> Range:
        """Range of the quality."""
        return self.quality

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Encode and decode each frame."""
        return np.stack([self._of(frame, round(value)) for frame in frames])

    def _of(self, frame: Frames, quality: int) -> Frames:
        _, coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return _u8(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]


class Camera:
    """A degradation of several steps; each parameter is drawn once for each clip, or once for an owner.

    Attributes:
        steps: The steps by name, in their order; exactly one of them shrinks.
        scale: Factor from low to high resolution.
        seed: Seed of all parameters and all noise.
        owner: Whose camera it is: one with an owner has the same parameters for all clips.
    """

    def __init__(
        self, *, steps: Mapping[str, Step], scale: Count, seed: Whole, owner: str | None = None
    ) -> None:
        if (shrinking := sum(isinstance(step, Shrink) for step in steps.values())) != 1:
            raise ConfigurationError(f"a camera needs exactly one step that shrinks, got {shrinking}")
        if wrong := [name for name, step in steps.items() if step.range[0] > step.range[1]]:
            raise ConfigurationError(
                f"the range of step {', '.join(wrong)} must begin with the smaller value"
            )
        self.steps = dict(steps)
        self.scale = scale
        self.seed = seed
        self.owner = owner
        self.reach, self.grid = self._extent()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Camera) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"Camera(steps={self.steps}, scale={self.scale}, seed={self.seed}, owner={self.owner!r})"

    def __call__(self, frames: Frames, place: Place | None = None) -> Frames:
        """Degrade frames (T, sH, sW, 3) to (T, H, W, 3), uint8.

        Raises:
            ShapeError: If ``frames`` isn't uint8 of that shape.
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise ShapeError(
                f"frames must be uint8 of shape (T, H, W, 3), got {frames.dtype} of {frames.shape}"
            )
        height, width = (size // self.scale for size in frames.shape[1:3])
        place = place or Place("", 0, 0, 0, height, width)
        here = _scaled(place, self.scale)
        for name, step in self.steps.items():
            if isinstance(step, Shrink):
                frames, here = step(frames, self.scale, here, 0), place
            else:
                seed = derive(self.seed, name, place.clip)
                frames = step(frames, self.parameter(name, place.clip), here, seed)
        return frames

    def parameter(self, name: str, clip: str) -> float:
        """The parameter of a step for a clip."""
        smallest, largest = self.steps[name].range
        rng = np.random.default_rng(derive(self.seed, "parameter", name, self.owner or f"clip {clip}"))
        return float(rng.uniform(smallest, largest))

    def _extent(self) -> tuple[int | None, int]:
        """Reach and grid in low-resolution pixels; each step reaches from where the one after it does."""
        reach, grid, shrunk = 0, 1, False
        for step in self.steps.values():
            if step.reach is None:
                return None, 1
            shrunk |= isinstance(step, Shrink)
            factor = 1 if shrunk else self.scale
            reach += ceil(step.reach / factor)
            grid = max(grid, ceil(step.grid / factor))
        return ceil(reach / grid) * grid, grid


def _with_noise(frames: Frames, place: Place, seed: int) -> list[tuple[Frames, np.ndarray]]:
    """Each frame with its normal noise, cut from that of the whole frame."""
    rows = slice(place.top, place.top + frames.shape[1])
    columns = slice(place.left, place.left + frames.shape[2])
    pairs = []
    for number, frame in enumerate(frames, start=place.first):
        rng = np.random.default_rng((seed, number))
        noise = rng.standard_normal((place.height, place.width, 3), np.float32)
        pairs.append((frame, noise[rows, columns]))
    return pairs


def _scaled(place: Place, scale: int) -> Place:
    sizes = (scale * size for size in (place.top, place.left, place.height, place.width))
    return Place(place.clip, place.first, *sizes)


def _rounded(values: np.ndarray) -> Frames:
    return _u8(np.rint(np.clip(values, 0, 255)))


def _u8(values: Any) -> Frames:  # noqa: ANN401 (cv2's arrays)
    return np.asarray(values, np.uint8)
