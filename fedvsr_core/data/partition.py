"""Dividing the training shots among simulated clients."""

import math
from collections.abc import Sequence
from itertools import pairwise

from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError


class Equal:
    """Contiguous parts with the same number of frames, give or take one.

    All frames are laid end to end in the order of the shots and cut into as many equal runs as there are
    clients. Where that leaves a client too few frames, every shot is first cut into a g x g grid of tiles,
    which take the place of the shots. Each frame (of each tile) belongs to exactly one client.

    Attributes:
        min_frames: Frames each client must get at least, >= 1; shots are cut into tiles until it is so.
        min_size: Smallest height and width of a tile in high-resolution pixels.
        scale: Factor from low to high resolution; tiles begin and end at multiples of it.
    """

    def __init__(self, *, min_frames: int, min_size: int, scale: int) -> None:
        self.min_frames = min_frames
        self.min_size = min_size
        self.scale = scale

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> list[list[Shot]]:
        """Divide shots among clients.

        Args:
            shots: Shots in any order; the same order gives the same parts.
            num_clients: Number of clients, >= 1.

        Returns:
            The shots of each client.

        Raises:
            DataError: If there are no shots or clients, or too little video for so many clients.
        """
        total = sum(shot.frames for shot in shots)
        if num_clients < 1 or not total:
            raise DataError(f"expected frames and clients, got {total} frames for {num_clients} clients")
        copies = -(-num_clients * self.min_frames // total)  # times the frames are needed, rounded up
        grid = math.isqrt(copies - 1) + 1
        tiles = [tile for shot in shots for tile in self._tiles(shot, grid, num_clients)]
        total *= grid**2
        edges = [total * client // num_clients for client in range(num_clients + 1)]
        return [_run(tiles, first, stop) for first, stop in pairwise(edges)]

    def _tiles(self, shot: Shot, grid: int, num_clients: int) -> list[Shot]:
        """Cut a shot into ``grid`` x ``grid`` tiles, row by row."""
        if grid == 1:
            return [shot]
        rows, columns = self._edges(shot.height, grid), self._edges(shot.width, grid)
        if min(bottom - top for top, bottom in (*pairwise(rows), *pairwise(columns))) < self.min_size:
            raise DataError(
                f"{num_clients} clients of {self.min_frames} frames or more each need {grid}x{grid} tiles of"
                f" every clip, but those of '{shot.name}' ({shot.width}x{shot.height}) would be smaller than"
                f" {self.min_size} pixels; take fewer clients or more video"
            )
        return [
            shot.tile(top, bottom, left, right)
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        ]

    def _edges(self, size: int, grid: int) -> list[int]:
        return [size // self.scale * i // grid * self.scale for i in range(grid + 1)]


def _run(shots: Sequence[Shot], first: int, stop: int) -> list[Shot]:
    """The frames ``first`` to before ``stop`` of all shots laid end to end."""
    part, begin = [], 0
    for shot in shots:
        low, high = max(first - begin, 0), min(stop - begin, shot.frames)
        if low < high:
            part.append(shot.between(low, high))
        begin += shot.frames
    return part
