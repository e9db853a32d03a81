"""Dividing the training shots among simulated clients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from fedvsr_core.components import Count, Whole
from fedvsr_core.data.camera import Camera, Step
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.seeds import derive

Parts = list[list[Shot]]
"""The shots of each client."""


class Partition(Protocol):
    """What a yaml of ``conf/partition`` builds.

    Whoever divides the same shots in the same order among as many clients gets the same parts. No frame is
    given twice, all are given, and a client that would get none is refused.
    """

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """Divide shots among clients; raises DataError if someone would get nothing."""


class Equal:
    """Contiguous parts with nearly the same number of frames: of whole clips where there are enough.

    With fewer clips than clients, clips are cut: all frames are laid end to end and cut into as many equal
    runs. Where that leaves a client too few frames, clips are first cut into tiles, just small enough.

    Attributes:
        min_frames: Frames each client must get at least where clips are cut, >= 1.
        min_size: Smallest height and width of a tile in high-resolution pixels.
        scale: Factor from low to high resolution; tiles begin and end at multiples of it.
    """

    def __init__(self, *, min_frames: Count, min_size: Count, scale: Count) -> None:
        self.min_frames = min_frames
        self.min_size = min_size
        self.scale = scale

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """Divide shots; raises DataError if there are none, or too little video for so many clients."""
        total = _check(shots, num_clients)
        if len(shots) >= num_clients:
            return _by_share(shots, [1.0] * num_clients)
        pieces = self._pieces(shots, num_clients, total)
        total = sum(piece.frames for piece in pieces)
        edges = [total * client // num_clients for client in range(num_clients + 1)]
        return [_run(pieces, first, stop) for first, stop in pairwise(edges)]

    def _pieces(self, shots: Sequence[Shot], num_clients: int, total: int) -> list[Shot]:
        """The shots, or the largest tiles of them that are enough."""
        needed = num_clients * self.min_frames
        if total >= needed:
            return list(shots)
        sides = {side // self.scale for shot in shots for side in (shot.height, shot.width)}
        sizes = {side // count * self.scale for side in sides for count in range(1, side + 1)}
        for size in sorted((size for size in sizes if size >= self.min_size), reverse=True):
            if sum(shot.frames * self._count(shot, size) for shot in shots) >= needed:
                return [tile for shot in shots for tile in self._tiles(shot, size)]
        raise DataError(
            f"{num_clients} clients of {self.min_frames} frames or more each need {needed} frames, but"
            f" {total} frames in tiles of {self.min_size} pixels or more aren't enough; take fewer clients or"
            " more video"
        )

    def _count(self, shot: Shot, size: int) -> int:
        return (len(self._edges(shot.height, size)) - 1) * (len(self._edges(shot.width, size)) - 1)

    def _tiles(self, shot: Shot, size: int) -> list[Shot]:
        """Cut a shot into tiles of at least ``size`` pixels, row by row; a smaller one stays whole."""
        return [
            shot.tile(top, bottom, left, right)
            for top, bottom in pairwise(self._edges(shot.height, size))
            for left, right in pairwise(self._edges(shot.width, size))
        ]

    def _edges(self, length: int, size: int) -> list[int]:
        units = length // self.scale
        count = max(units // -(-size // self.scale), 1)
        return [units * place // count * self.scale for place in range(count + 1)]


class Exponential:
    """Contiguous parts of whole clips whose frames grow exponentially: client ``i`` gets ``exp(alpha i)``.

    Attributes:
        alpha: Growth from one client to the next, at most 10; 0 is equal.

    Source: the quantity skew of FedVSR (MMSys 2026).
    """

    def __init__(self, *, alpha: Annotated[float, Field(ge=-10, le=10)]) -> None:
        self.alpha = alpha

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """Divide shots; raises DataError if a client would get nothing."""
        _check(shots, num_clients)
        powers = self.alpha * np.arange(num_clients)
        return _by_share(shots, np.exp(powers - powers.max()).tolist(), remedy="take a smaller alpha, ")


class ByLabel:
    """As few labels as possible for each client: one each where there are as many labels as clients.

    With more labels than clients, a client gets several labels whole; with fewer, several clients share one.
    """

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """Divide shots; raises DataError if one has no label, or a client would get nothing."""
        _check(shots, num_clients)
        groups = list(_by_label(shots).values())
        if len(groups) >= num_clients:
            deals = np.array_split(np.arange(len(groups)), num_clients)
            return [[shot for group in deal for shot in groups[group]] for deal in deals]
        parts: Parts = []
        for group, deal in zip(groups, np.array_split(np.arange(num_clients), len(groups)), strict=True):
            parts += [
                [group[place] for place in piece]
                for piece in np.array_split(np.arange(len(group)), len(deal))
            ]
        return _refuse_empty_parts(parts, "take fewer clients or more clips of each label")


class Dirichlet:
    """Each label is shared out in proportions drawn from a Dirichlet distribution; clips stay whole.

    Attributes:
        alpha: Concentration, > 0: 0.1 gives most of a label to one client, 100 shares it almost equally.
        seed: Seed of the proportions and of the order of the clips.

    Source: Hsu et al., arXiv 1909.06335.
    """

    def __init__(self, *, alpha: float, seed: Whole) -> None:
        if alpha <= 0:
            raise DataError(f"alpha must be > 0, got {alpha}")
        self.alpha = alpha
        self.seed = seed

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """Divide shots; raises DataError if one has no label, or a client would get nothing."""
        _check(shots, num_clients)
        parts: Parts = [[] for _ in range(num_clients)]
        for label, group in _by_label(shots).items():
            rng = np.random.default_rng(derive(self.seed, "dirichlet", label))
            shares = rng.dirichlet([self.alpha] * num_clients)
            edges = [0, *np.rint(np.cumsum(shares)[:-1] * len(group)).astype(int), len(group)]
            order = rng.permutation(len(group))
            for part, (first, stop) in zip(parts, pairwise(edges), strict=True):
                part += [group[place] for place in order[first:stop]]
        return _refuse_empty_parts(parts, "take a larger alpha, another seed, fewer clients or more video")


class ByDegradation:
    """A camera for each client: blur, noise and codec are drawn once, for all its clips.

    Attributes:
        clips: How the clips themselves are divided.
        steps: Steps of a `Camera`, by name, with the ranges that each client's are drawn from.
        scale: Factor from low to high resolution.
        seed: Seed of the cameras.
    """

    def __init__(self, *, clips: Partition, steps: Mapping[str, Step], scale: Count, seed: Whole) -> None:
        self.clips = clips
        self.steps = steps
        self.scale = scale
        self.seed = seed

    def __call__(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """Divide shots; raises as the partition of the clips."""
        return [
            [replace(shot, degradation=self._camera(client)) for shot in part]
            for client, part in enumerate(self.clips(shots, num_clients))
        ]

    def seen_by_all(self, shots: Sequence[Shot], num_clients: int) -> Parts:
        """The same shots for each client, by its own camera."""
        return [
            [replace(shot, degradation=self._camera(client)) for shot in shots]
            for client in range(num_clients)
        ]

    def _camera(self, client: int) -> Camera:
        return Camera(steps=self.steps, scale=self.scale, seed=self.seed, owner=f"client {client}")


def divide_held_out(partition: Partition, shots: Sequence[Shot], num_clients: int) -> Parts:
    """The held-out shots of each client: all of them by its own camera, where it has one; else dealt out.

    Shots that are dealt out stay whole, and with fewer of them than clients, some clients get none.
    """
    if isinstance(partition, ByDegradation):
        return partition.seen_by_all(shots, num_clients)
    return [list(shots[client::num_clients]) for client in range(num_clients)]


def _check(shots: Sequence[Shot], num_clients: int) -> int:
    total = sum(shot.frames for shot in shots)
    if num_clients < 1 or not total:
        raise DataError(f"expected frames and clients, got {total} frames for {num_clients} clients")
    return total


def _by_label(shots: Sequence[Shot]) -> dict[str, list[Shot]]:
    groups: dict[str, list[Shot]] = {}
    for shot in shots:
        if shot.label is None:
            raise DataError(
                f"clip '{shot.name}' has no label; take a dataset with labels, such as kinetics, or another"
                " partition"
            )
        groups.setdefault(shot.label, []).append(shot)
    return {label: groups[label] for label in sorted(groups)}


def _by_share(shots: Sequence[Shot], shares: Sequence[float], remedy: str = "") -> Parts:
    """Contiguous whole shots, in each part nearly its share of all frames.

    Each boundary lies at the end of a shot, the nearest to where it should be that leaves every client one.
    """
    if len(shots) < len(shares):
        raise DataError(
            f"{len(shares)} clients can't each get one of {len(shots)} whole clips; take fewer clients or"
            " more video"
        )
    ends = np.cumsum([0, *(shot.frames for shot in shots)])
    wanted = np.cumsum([0, *shares]) / sum(shares) * ends[-1]
    edges = [int(np.abs(ends - place).argmin()) for place in wanted]
    if len(set(shares)) == 1:  # equal shares: rounding leaves no client without frames
        for client in range(1, len(edges) - 1):
            edges[client] = max(edges[client], edges[client - 1] + 1)
        for client in range(len(edges) - 2, 0, -1):
            edges[client] = min(edges[client], edges[client + 1] - 1)
    parts = [list(shots[first:stop]) for first, stop in pairwise(edges)]
    return _refuse_empty_parts(parts, f"{remedy}take fewer clients or more video")


def _refuse_empty_parts(parts: Parts, remedy: str) -> Parts:
    if empty := [str(client) for client, part in enumerate(parts) if not part]:
        raise DataError(f"client {', '.join(empty)} of {len(parts)} would get no clip; {remedy}")
    return parts


def _run(shots: Sequence[Shot], first: int, stop: int) -> list[Shot]:
    """The frames ``first`` to before ``stop`` of all shots laid end to end."""
    part, begin = [], 0
    for shot in shots:
        low, high = max(first - begin, 0), min(stop - begin, shot.frames)
        if low < high:
            part.append(shot.between(low, high))
        begin += shot.frames
    return part
