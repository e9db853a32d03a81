"""The optimiser's steps of one client in one round."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from fedvsr_core.data.loaders import to_float

_LOSS_SCALE = 2.0**10
"""For float16 at the start of a round; torch's own 2**16 would cost the first steps of each round."""

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
    late: Sequence[nn.Parameter] = (),
    frozen_steps: int = 0,
    autocast: Literal["bfloat16", "float16"] | None = None,
) -> Outcome:
    """Train a model in place, a step for each batch.

    Args:
        model: Network on ``device``.
        batches: Low- and high-resolution clips, (B, T, 3, H, W) and (B, T, 3, sH, sW), as uint8 or as
            float in [0, 1].
        loss: What to minimise.
        optimiser: Over the parameters of ``model``, and those of the objective.
        adjust: Called between the gradients and the step; may change the gradients. Not called where a
            gradient overflowed in float16, since that step is left out.
        clip_norm: Largest norm of the gradients of all that the optimiser trains together, or None.
        device: Where to compute.
        late: Parameters that don't learn in the first steps.
        frozen_steps: How many steps these are.
        autocast: Lower precision for the network, where torch holds it safe; the loss stays in float32, and
            is scaled for float16, whose steps are left out when gradients overflow.
    """
    model.train()
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    steps, values = 0, dict[str, list[Tensor]]()
    precision = torch.autocast(device.type, getattr(torch, autocast or "float32"), enabled=bool(autocast))
    scaler = torch.amp.GradScaler(device.type, init_scale=_LOSS_SCALE, enabled=autocast == "float16")
    for low, high in batches:
        for parameter in late:
            parameter.requires_grad_(steps >= frozen_steps)
        optimiser.zero_grad(set_to_none=True)
        with precision:
            output = model(to_float(low, device))
        total, parts = loss(output.float() if autocast else output, to_float(high, device))
        scaler.scale(total).backward()
        scaler.unscale_(optimiser)
        if autocast != "float16" or _finite(trained):
            adjust(model)
        if clip_norm is not None:
            clip_grad_norm_(trained, clip_norm)
        scaler.step(optimiser)
        scaler.update()
        steps += 1
        for name, value in ({"": total} | parts).items():  # stay on the device: no wait for it in every step
            values.setdefault(name, []).append(value.detach())
    means = {name: float(torch.stack(seen).cpu().double().mean()) for name, seen in values.items()}
    return Outcome(steps=steps, loss=means.pop("", float("nan")), parts=means)


def _finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether all gradients are finite; this waits for the device."""
    return all(bool(one.grad.isfinite().all()) for one in parameters if one.grad is not None)
