"""Many clients' arrays, combined a block of values at a time: as much memory for a hundred as for four."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np

from fedvsr_core.flower.arrays import NamedArrays
from server_app.aggregation import kernels
from server_app.aggregation.kernels import Floats
from server_app.aggregation.threads import shared
from server_app.aggregation.values import Values

_LEAST, _TOGETHER = 1 << 14, 1 << 18
"""Values of one client in a block, and of all: what a core's cache holds."""

Block = tuple[str, int, int]
"""Name of an array, and where in it, as if it were flat, the block begins and ends."""

R = TypeVar("R")
Work = Callable[[np.ndarray, np.ndarray], R]
"""Of the clients' values, (clients, values), and the model's, (values,); float32, or float64 if they are."""


def weighted_mean(
    clients: Sequence[Values], weights: Sequence[float], model: NamedArrays
) -> Iterator[tuple[str, np.ndarray]]:
    """The sum of the clients' arrays, each times its weight.

    Args:
        clients: In an order that doesn't depend on when they arrived: it decides the last bits.
        weights: One a client.
        model: Arrays of the names, shapes and dtypes that are wanted.

    Yields:
        Name and values of each array.
    """
    factors = np.array(weights, np.float64)

    def weigh(values: np.ndarray, _: np.ndarray) -> Floats:
        out = np.empty(values.shape[1])
        kernels.weigh(values, factors, out)
        return out

    return combined(clients, model, weigh)


def trimmed_mean(
    clients: Sequence[Values], weights: Sequence[float], model: NamedArrays, *, cut: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The same without the ``cut`` smallest and largest of the clients' values, one value at a time.

    Args:
        clients: As `weighted_mean`.
        weights: Those of the values that are left are made to sum to one; all > 0.
        model: As `weighted_mean`.
        cut: Less than half of the clients.

    Yields:
        Name and values of each array.

    Source: Yin et al., ICML 2018, algorithm 1 (option II), with weights.
    """
    factors = np.array(weights, np.float64)

    def weigh(values: np.ndarray, _: np.ndarray) -> Floats:
        out = np.empty(values.shape[1])
        kernels.weigh_middle(values, factors, cut, out)
        return out

    return combined(clients, model, weigh)


def products(clients: Sequence[Values], scales: Sequence[float], model: NamedArrays) -> tuple[Floats, float]:
    """What each client's update, times its scale, has in common with the sum of all of these.

    Args:
        clients: As `weighted_mean`.
        scales: One a client.
        model: What they start from.

    Returns:
        The product of each scaled update with the sum of all, (clients,), and the square of that sum.
    """
    factors = np.array(scales, np.float64)

    def project(values: np.ndarray, origin: np.ndarray) -> Floats:
        dots, total = np.empty(len(clients) + 1), np.empty(values.shape[1])
        dots[-1] = kernels.project(values, origin, factors, total, dots[:-1])
        return dots

    summed = np.sum(_each(clients, model, lambda _, *arrays: project(*arrays)), axis=0)
    return summed[:-1], float(summed[-1])


def combined(
    clients: Sequence[Values], model: NamedArrays, work: Work[np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """What some work makes of the clients' values.

    Args:
        clients: As `weighted_mean`.
        model: As `weighted_mean`.
        work: Makes of the clients' values and the model's the new ones, (block,).

    Yields:
        Name and values of each array, in the dtype of the model's.
    """
    new = {name: np.empty(like.shape, like.dtype) for name, like in model.items()}

    def store(block: Block, values: np.ndarray, origin: np.ndarray) -> None:
        name, start, stop = block
        new[name].reshape(-1)[start:stop] = work(values, origin)

    _each(clients, model, store)
    yield from new.items()


def _each(
    clients: Sequence[Values], model: NamedArrays, work: Callable[[Block, np.ndarray, np.ndarray], R]
) -> list[R]:
    """Do some work on every block; returns what comes of it, in the order of the blocks."""
    length = max(_LEAST, _TOGETHER // len(clients))
    blocks = [
        (name, start, min(start + length, like.size))
        for name, like in model.items()
        for start in range(0, like.size, length)
    ]

    def some(numbered: Iterator[tuple[int, Block]]) -> list[tuple[int, R]]:
        return [(number, work(block, *_read(clients, model, block))) for number, block in numbered]

    done = dict(chain.from_iterable(shared(some, enumerate(blocks))))
    return [done[number] for number in range(len(blocks))]


def _read(clients: Sequence[Values], model: NamedArrays, block: Block) -> tuple[np.ndarray, np.ndarray]:
    name, start, stop = block
    flat = model[name].reshape(-1)[start:stop]
    origin = np.ascontiguousarray(flat, np.promote_types(flat.dtype, np.float32))
    values = np.empty((len(clients), stop - start), origin.dtype)
    for row, client in enumerate(clients):
        values[row] = client.part(name, start, stop)
    return values, origin
