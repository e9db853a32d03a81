"""An exponential moving average of the global model, to be scored in its place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

_PREFIX = "trained/"


class MovingAverage:
    """Follows the global model from round to round; training never sees it.

    It is what is scored, and so it is the model of a checkpoint; the weights that training goes on from lie
    beside it.

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

    def trained(self, model: nn.Module) -> dict[str, np.ndarray]:
        """The trained weights, which a checkpoint keeps as well, under names of no strategy."""
        state = model.state_dict()
        return {_PREFIX + name: state[name].numpy(force=True).copy() for name in self._mean}

    def restore(self, model: nn.Module, kept: Mapping[str, np.ndarray]) -> None:
        """Take the average from a model that a checkpoint was loaded into, and give it the trained weights.

        Args:
            model: With the weights of the checkpoint.
            kept: What the checkpoint keeps as well; other names than those of `trained` are left alone.
        """
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        trained = {
            name.removeprefix(_PREFIX): torch.tensor(array)
            for name, array in kept.items()
            if name.startswith(_PREFIX)
        }
        self._mean = {name: state[name] for name in trained}
        model.load_state_dict({**state, **trained})


def without_trained(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint that are the strategy's own."""
    return {name: array for name, array in state.items() if not name.startswith(_PREFIX)}
