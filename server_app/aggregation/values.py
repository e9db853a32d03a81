"""The arrays of an update, read whole or in parts: from memory, from a file, or shortened."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fedvsr_core.checkpoints.atomic import storing
from fedvsr_core.flower.arrays import NamedArrays


class Values(Mapping[str, np.ndarray]):
    """Named floating-point arrays that can be read in parts, so that not all need be in memory.

    Args:
        shapes: Of the arrays, by name.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    @abstractmethod
    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """Values of an array from ``start`` to ``stop``, as if it were flat."""

    def __getitem__(self, name: str) -> np.ndarray:
        shape = self.shapes[name]
        return self.part(name, 0, math.prod(shape)).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


class InMemory(Values):
    """Arrays as they are.

    Args:
        arrays: They aren't copied.
    """

    def __init__(self, arrays: NamedArrays) -> None:
        super().__init__({name: array.shape for name, array in arrays.items()})
        self._arrays = arrays

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """A view."""
        return self._arrays[name].reshape(-1)[start:stop]


class InFile(Values):
    """Arrays in a file of its own, one after the other.

    Args:
        path: Written anew.
        arrays: What it then holds.

    Raises:
        StorageError: If the disk is full, or may not be written to.
    """

    def __init__(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__({name: array.shape for name, array in arrays.items()})
        self._path = path
        self._places: dict[str, tuple[np.dtype, int]] = {}
        with storing(path), path.open("wb") as file:
            for name, array in arrays.items():
                self._places[name] = array.dtype, file.tell()
                file.write(np.ascontiguousarray(array).data.cast("B"))

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """A copy."""
        dtype, offset = self._places[name]
        return np.fromfile(self._path, dtype, stop - start, offset=offset + start * dtype.itemsize)


class Shortened(Values):
    """Arrays on the way from others, a share of the way.

    Args:
        values: Where the way leads.
        origin: Where it begins.
        share: In [0, 1].
    """

    def __init__(self, values: Values, origin: NamedArrays, share: float) -> None:
        super().__init__(values.shapes)
        self._values, self._origin, self._share = values, origin, share

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """A new array of the same dtype."""
        whole = self._values.part(name, start, stop)
        origin = self._origin[name].reshape(-1)[start:stop]
        return np.asarray(origin + self._share * (whole - origin), whole.dtype)
