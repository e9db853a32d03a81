"""How far an honest client can move the model in a round: no further than its optimiser's steps."""

import math
from typing import Any

import numpy as np
from torch import nn

from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.settings import Settings

_ROUNDING = 1.01
"""Of the client's own arithmetic, and of float16 differences."""


def reach(settings: Settings, model: nn.Module, sent: NamedArrays) -> float:
    """The largest norm of an honest update, without the noise of differential privacy.

    Args:
        settings: The run's: optimiser, steps and clipping of gradients.
        model: The network; says what the optimiser moves.
        sent: The arrays that clients start from.

    Returns:
        The norm; infinite where settings bound neither steps nor gradients, the optimiser isn't known, or
        arrays travel that it doesn't move, such as running means.

    Source: Cauchy and Schwarz. Adam divides a moving average of gradients by the root of one of their
    squares, so that a parameter's step is at most ``(1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2))`` step sizes.
    """
    if settings.training.epochs is not None:  # how many steps that is, only the client knows
        return math.inf
    if sent.keys() - dict(model.named_parameters()).keys():
        return math.inf
    step = _longest_step(settings.optimiser, settings.training.clip_norm, parameters=_count(sent))
    longest = settings.training.steps * step * max(1.0, settings.flow.step_size) * _ROUNDING
    if decay := float(settings.optimiser.get("weight_decay", 0)) * _step_size(settings.optimiser):
        longest += settings.training.steps * decay * (_norm(sent) + longest)
    return longest


def _longest_step(optimiser: dict[str, Any], clip_norm: float | None, *, parameters: int) -> float:
    """The longest way of one step, in the model's units."""
    kind = str(optimiser["_target_"]).rpartition(".")[2]
    if kind in ("Adam", "AdamW") and not optimiser.get("amsgrad"):
        b1, b2 = optimiser.get("betas", (0.9, 0.999))
        if b1**2 < b2:
            ratio: float = (1 - b1) / math.sqrt((1 - b2) * (1 - b1**2 / b2))
            return _step_size(optimiser) * max(1.0, ratio) * math.sqrt(parameters)
    if kind == "SGD" and clip_norm is not None and not optimiser.get("weight_decay"):
        carried: float = 1 / (1 - optimiser.get("momentum", 0))
        return _step_size(optimiser) * clip_norm * carried * (2 if optimiser.get("nesterov") else 1)
    return math.inf


def _step_size(optimiser: dict[str, Any]) -> float:
    return float(optimiser.get("lr", 1e-3))


def _count(arrays: NamedArrays) -> int:
    return sum(array.size for array in arrays.values())


def _norm(arrays: NamedArrays) -> float:
    return math.sqrt(math.fsum(float(np.square(array, dtype=np.float64).sum()) for array in arrays.values()))
