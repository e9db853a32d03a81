"""The optimiser's steps of one client in one round."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from fedvsr_core.data.loaders import to_float
from fedvsr_core.training.micro_batches import MicroBatches
from fedvsr_core.training.precision import Precision, autocast, fast_kernels
from fedvsr_core.training.ranks import ALONE, Ranks

_LOSS_SCALE = 2.0**10
"""For float16 at the start of a round; torch's own 2**16 would cost the first steps of each round."""

_HALVES = (torch.bfloat16, torch.float16)

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
    precision: Precision = "float32",
    micro_batch: int | None = None,
    ranks: Ranks = ALONE,
    before_step: Callable[[int], None] = lambda step: None,
) -> Outcome:
    """Train a model in place, a step for each batch.

    On a CUDA device no step waits for it, but those in float16.

    Args:
        model: Network on ``device``.
        batches: Low- and high-resolution clips, (B, T, 3, H, W) and (B, T, 3, sH, sW), as uint8 or as
            float in [0, 1].
        loss: What to minimise, a mean over the samples.
        optimiser: Over the parameters of ``model``, and those of the objective.
        adjust: Called between the gradients and the step; may change the gradients. Not called where a
            gradient overflowed in float16, since that step is left out.
        clip_norm: Largest norm of the gradients of all that the optimiser trains together, or None.
        device: Where to compute.
        late: Parameters that don't learn in the first steps.
        frozen_steps: How many steps these are.
        precision: Of the network; the loss is computed in float32, and scaled for float16, whose steps are
            left out when gradients overflow.
        micro_batch: Samples that are computed at once; None: a whole batch. Halved when memory runs out.
        ranks: The processes that train this model; gradients and losses are means over all of them.
        before_step: Called with the number of each step, from 0; may change step sizes and the loss.

    Raises:
        MemoryError: If memory runs out twice.
    """
    model.train()
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    steps, values = 0, dict[str, list[Tensor]]()
    scaler = torch.amp.GradScaler(device.type, init_scale=_LOSS_SCALE, enabled=precision == "float16")
    micro_batches = MicroBatches(micro_batch, device)

    def backward(low: Tensor, high: Tensor, size: int) -> dict[str, Tensor]:
        """Gradients of a batch, so many samples at once; returns the loss and its parts."""
        optimiser.zero_grad(set_to_none=True)
        means = dict[str, Tensor]()
        for some_low, some_high in zip(low.split(size), high.split(size), strict=True):
            share = len(some_low) / len(low)
            with autocast(precision, device):
                output = model(to_float(some_low, device))
            output = output.float() if output.dtype in _HALVES else output
            total, parts = loss(output, to_float(some_high, device))
            scaler.scale(share * total).backward()
            for name, value in ({"": total} | parts).items():  # these stay on the device: no wait for it
                means[name] = means.get(name, 0) + share * value.detach()
        return means

    with fast_kernels(precision, device):
        for low, high in batches:
            before_step(steps)
            for parameter in late:
                parameter.requires_grad_(steps >= frozen_steps)
            means = micro_batches.run(partial(backward, low, high), len(low))
            ranks.average_gradients(trained)
            scaler.unscale_(optimiser)
            if precision != "float16" or _finite(trained):
                adjust(model)
            if clip_norm is not None:
                clip_grad_norm_(trained, clip_norm)
            scaler.step(optimiser)
            scaler.update()
            steps += 1
            for name, value in means.items():
                values.setdefault(name, []).append(value)
    averages = dict[str, float]()
    if values:  # one wait for all of them
        seen = ranks.average(torch.stack([torch.stack(of_a_part) for of_a_part in values.values()]))
        averages = dict(zip(values, seen.cpu().double().mean(1).tolist(), strict=True))
    return Outcome(steps=steps, loss=averages.pop("", float("nan")), parts=averages)


def _finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether all gradients are finite; this waits for the device."""
    finite = [parameter.grad.isfinite().all() for parameter in parameters if parameter.grad is not None]
    return not finite or bool(torch.stack(finite).all())
