"""Where the gradients of the losses point: why the high-frequency loss costs at first.

    python benchmarks/directions.py            # JSON to stdout; minutes

Four clients train the default network by FedAvg. After each of some numbers of rounds, on the same training
windows of all clips: `detail-energy`, the share of the squared error of bicubic interpolation that lies in
the spatial detail of each level of a Haar transform, from the finest, and `removed`, the share of it that the
network has removed; for each loss the `cosine` of its gradient with that of the squared error, and `fall`, by
how much the squared error falls to first order in a step of Adam of 1e-3 from fresh moments, in 1e-6.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from in_process import federate
from torch import Tensor

from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from fedvsr_core.data.loaders import Batches, to_float
from fedvsr_core.layers.bicubic import bicubic_up
from fedvsr_core.losses.charbonnier import Charbonnier
from fedvsr_core.losses.detail_bands import HaarBands
from fedvsr_core.losses.high_frequency import HighFrequencyLoss
from server_app.config import compose

Loss = Callable[[Tensor, Tensor], Tensor]

WINDOWS, LEVELS, STEP = 32, 3, 1e-3
_CHARBONNIER = Charbonnier()
LOSSES: dict[str, Loss] = {
    "charbonnier": _CHARBONNIER,
    "high-frequency": HighFrequencyLoss(eps=1e-9),
    "high-frequency, eps 1e-3": HighFrequencyLoss(eps=1e-3),
    "both": lambda output, target: _CHARBONNIER(output, target) + HighFrequencyLoss(eps=1e-9)(output, target),
    "both, eps 1e-3": lambda output, target: (
        _CHARBONNIER(output, target) + HighFrequencyLoss(eps=1e-3)(output, target)
    ),
}


def detail_energies(error: Tensor) -> list[float]:
    """The squared error in the spatial detail of each level, from the finest; (B, T, C, H, W) in."""
    energies = []
    for _ in range(LEVELS):
        error, details = HaarBands()(error, over_time=False)
        energies.append(float(sum(band.square().sum() for band in details)))
    return energies


def gradient(model: torch.nn.Module, loss: Tensor) -> Tensor:
    """The gradient of a loss, as one vector."""
    parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return torch.cat([part.reshape(-1) for part in parts])


def seen(model: torch.nn.Module, low: Tensor, high: Tensor) -> dict[str, object]:
    """Energies and directions of one model."""
    output = model(low)
    bicubic = bicubic_up(low.flatten(0, 1), 4).unflatten(0, low.shape[:2])
    before, after = (detail_energies(image - high) for image in (bicubic, output.detach()))
    whole = float((bicubic - high).square().sum())
    right = gradient(model, F.mse_loss(output, high))
    losses = {}
    for name, loss in LOSSES.items():
        direction = gradient(model, loss(output, high))
        losses[name] = {
            "cosine": float(F.cosine_similarity(direction, right, dim=0)),
            "fall": 1e6 * STEP * float(right @ direction.sign()),
        }
    return {
        "detail-energy": [energy / whole for energy in before],
        "removed": [1 - new / old for old, new in zip(before, after, strict=True)],
        "losses": losses,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, nargs="*", default=[0, 3, 20])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    compose_with = partial("strategy=fedavg rounds={} training.steps=10 training.batch=2".format)
    result = {}
    for rounds in arguments.rounds:
        settings = compose({"experiment": "mini_main_less", "overrides": compose_with(max(rounds, 1))})
        model = initial_model(settings)
        if rounds:
            model.load_state_dict(federate(settings, clients=4).state)
        degradation = build(settings.degradation)
        shots = [shot.degraded(degradation) for shot in build(settings.data).train()]
        training = settings.training.model_copy(update={"batch": WINDOWS})
        low, high = (
            to_float(part, torch.device("cpu")) for part in Batches(shots, training, seed=0).batch(0)
        )
        result[rounds] = seen(model, low, high)
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
