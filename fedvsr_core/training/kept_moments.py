"""An optimiser's moments that a client keeps from round to round, beside what its objective keeps."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.training.objective import ArrayStore

_MOMENTS = "moments/"


class KeptMoments:
    """A client's store that holds the moments of its optimiser, too.

    The objective sees its own arrays alone. All that a round leaves is written at its end, at once: a round
    that is interrupted leaves nothing.

    Args:
        store: Where all is kept.
    """

    def __init__(self, store: ArrayStore) -> None:
        self._store = store
        self._objectives: Mapping[str, np.ndarray] = {}

    def recall(self) -> NamedArrays:
        """What the objective left."""
        return {name: array for name, array in self._store.recall().items() if not name.startswith(_MOMENTS)}

    def keep(self, server_round: int, arrays: NamedArrays) -> None:
        """Take what the objective leaves; `write` keeps it."""
        self._objectives = arrays

    def give_to(self, optimiser: Optimizer) -> None:
        """Let a new optimiser go on from the moments of the last accepted round, if there is one."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, array in self._store.recall().items():
            if name.startswith(_MOMENTS):
                _, place, moment = name.split("/")
                state.setdefault(int(place), {})[moment] = torch.tensor(array)
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

    def write(self, server_round: int, optimiser: Optimizer) -> None:
        """Keep the moments after a round, with what the objective leaves."""
        moments = {
            f"{_MOMENTS}{place}/{moment}": value.numpy(force=True)
            for place, moments in optimiser.state_dict()["state"].items()
            for moment, value in moments.items()
            if isinstance(value, Tensor)
        }
        self._store.keep(server_round, {**self._objectives, **moments})
