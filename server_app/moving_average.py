"""An exponential moving average of the global model, to be scored in its place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

_PREFIX = "ema/"


class MovingAverage:
    """Follows the global model from round to round; training never sees it.

    Args:
        decay: What the average keeps of itself in a round, in (0, 1). The first round's model starts it.

    Source: Polyak and Juditsky, 1992, with exponential weights, as is usual in super-resolution.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._mean: dict[str, Tensor] = {}

    def update(self, state: Mapping[str, Tensor]) -> None:
        """Take in the model of a round; integer buffers aren't averaged."""
        for name, tensor in state.items():
            if tensor.is_floating_point():
                before = self._mean.get(name, tensor).to(tensor)
                self._mean[name] = torch.lerp(tensor.detach(), before, self._decay).clone()

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights while the block runs."""
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict({**own, **self._mean})
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps, under names that no strategy uses."""
        return {_PREFIX + name: tensor.cpu().numpy() for name, tensor in self._mean.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what `state` gave; other names are left alone."""
        self._mean = {
            name.removeprefix(_PREFIX): torch.tensor(array)
            for name, array in state.items()
            if name.startswith(_PREFIX)
        }


def without_average(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint that are the strategy's own."""
    return {name: array for name, array in state.items() if not name.startswith(_PREFIX)}
