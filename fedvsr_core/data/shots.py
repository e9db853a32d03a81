"""A shot: a named clip whose frames are decoded only when someone asks for them."""

from dataclasses import dataclass, replace
from typing import Protocol

from fedvsr_core.data.clips import ALL, Box, Clip, Cut, Pixels
from fedvsr_core.data.degradation import Degradation, MadeLow
from fedvsr_core.errors import DataError


@dataclass(frozen=True)
class Shot:
    """Consecutive frames without a shot change.

    Attributes:
        name: Unique among the shots of a dataset.
        high: High-resolution frames (T, sH, sW, 3); height and width are multiples of ``s``.
        low: Low-resolution frames (T, H, W, 3) where the dataset brings them, else None.
        low_by: The degradation that ``low`` was made with, or None where nobody knows.
        label: Class of what it shows, for partitions by label, or None.
        degradation: How this shot's low-resolution frames are made; None: as those of all others.
    """

    name: str
    high: Pixels
    low: Pixels | None = None
    low_by: Degradation | None = None
    label: str | None = None
    degradation: Degradation | None = None

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.high.shape[0]

    @property
    def height(self) -> int:
        """High-resolution height in pixels."""
        return self.high.shape[1]

    @property
    def width(self) -> int:
        """High-resolution width in pixels."""
        return self.high.shape[2]

    def clip(self) -> Clip:
        """Decode all of it, the low-resolution frames too if there are any."""
        high, low = self.high[ALL], self.low
        if isinstance(low, MadeLow) and low.high is self.high:
            low = replace(low, high=high)  # so that nothing is decoded twice
        return Clip(self.name, high, None if low is None else low[ALL])

    def degraded(self, degradation: Degradation) -> "Shot":
        """The shot with low-resolution frames of its own degradation, else of the one given.

        Those that the dataset brings are used if they were made so, or nobody knows how.
        """
        wanted = self.degradation or degradation
        if self.low is not None and (self.low_by == wanted or self.degradation is self.low_by is None):
            return self
        return replace(self, low=MadeLow(self.high, wanted, self.name), low_by=wanted)

    def between(self, first: int, stop: int) -> "Shot":
        """The frames from ``first`` to before ``stop``; a view."""
        if (first, stop) == (0, self.frames):
            return self
        box = slice(first, stop), slice(0, self.height), slice(0, self.width)
        return self._cut(f"{self.name}[{first}:{stop}]", box)

    def tile(self, top: int, bottom: int, left: int, right: int) -> "Shot":
        """Rows ``top`` to before ``bottom`` of columns ``left`` to before ``right``; a view.

        All four are high-resolution pixels and multiples of the scale.
        """
        if (top, bottom, left, right) == (0, self.height, 0, self.width):
            return self
        box = slice(0, self.frames), slice(top, bottom), slice(left, right)
        return self._cut(f"{self.name}[{top}:{bottom},{left}:{right}]", box)

    def cropped(self, scale: int) -> "Shot":
        """Without the last rows and columns, so that height and width are multiples of ``scale``.

        Raises:
            DataError: If there are no frames, or nothing would be left of them.
        """
        if not self.frames or self.height < scale or self.width < scale:
            raise DataError(
                f"clip '{self.name}' has {self.frames} frames of {self.width}x{self.height}, expected at"
                f" least one of {scale}x{scale}; remove it"
            )
        whole = self.tile(0, self.height - self.height % scale, 0, self.width - self.width % scale)
        return replace(whole, name=self.name)

    def _cut(self, name: str, box: Box) -> "Shot":
        low = self.low
        if low is not None:
            scale = self.height // low.shape[1]
            frames, *sides = box
            rows, columns = (slice(side.start // scale, side.stop // scale) for side in sides)
            low = Cut(low, (frames, rows, columns))
        return replace(self, name=name, high=Cut(self.high, box), low=low)


class Dataset(Protocol):
    """What a yaml of ``conf/data`` builds: shots to train on and shots that nobody trains on."""

    def train(self) -> list[Shot]:
        """Shots to divide among the clients."""

    def held_out(self) -> list[Shot]:
        """Shots to score the global model on."""
