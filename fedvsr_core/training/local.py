"""The optimiser's steps of one client in one round."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from fedvsr_core.data.loaders import to_float

LossFunction = Callable[[Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]
"""(output, target) -> the value to minimise, and its parts by name."""


@dataclass(frozen=True)
class Outcome:
    """What training reports.

    Attributes:
        steps: Optimiser steps taken.
        loss: Mean loss over the steps.
        parts: Mean of each part of the loss.
    """

    steps: int
    loss: float
    parts: dict[str, float]


def train(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    loss: LossFunction,
    optimiser: Optimizer,
    adjust: Callable[[nn.Module], None],
    clip_norm: float | None,
    device: torch.device,
) -> Outcome:
    """Train a model in place, a step for each batch.

    Args:
        model: Network on ``device``.
        batches: Low- and high-resolution clips, (B, T, 3, H, W) and (B, T, 3, sH, sW), as uint8 or as
            float in [0, 1].
        loss: What to minimise.
        optimiser: Over the parameters of ``model``.
        adjust: Called between the gradients and the step; may change the gradients.
        clip_norm: Largest norm of all gradients together, or None.
        device: Where to compute.
    """
    model.train()
    steps, values = 0, dict[str, list[Tensor]]()
    for low, high in batches:
        optimiser.zero_grad(set_to_none=True)
        total, parts = loss(model(to_float(low, device)), to_float(high, device))
        total.backward()
        adjust(model)
        if clip_norm is not None:
            clip_grad_norm_(model.parameters(), clip_norm)
        optimiser.step()
        steps += 1
        for name, value in ({"": total} | parts).items():  # stay on the device: no wait for it in every step
            values.setdefault(name, []).append(value.detach())
    means = {name: float(torch.stack(seen).cpu().double().mean()) for name, seen in values.items()}
    return Outcome(steps=steps, loss=means.pop("", float("nan")), parts=means)
