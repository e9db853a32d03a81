"""Time of the high-frequency loss, forward and backward, beside other ways to compute it.

    python benchmarks/loss.py                 # two threads; JSON to stdout
    pip install ptwt                          # for its row, otherwise null

Every way is timed in turn, many times over, so that whatever else the machine does falls on all alike. Ratios
are of medians: `to-charbonnier` is ours over plain Charbonnier (goal: at most 2.2), `to-ours` the others over
ours.
`step-share` is the part of a training step that the whole objective takes, by model.
"""

import argparse
import importlib.util
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from fedvsr_core.components import build
from fedvsr_core.losses.detail_bands import PytorchWaveletsBands
from fedvsr_core.losses.high_frequency import HighFrequencyLoss
from server_app.config import compose, options

SHAPES = [(1, 8, 3, 256, 256), (1, 16, 3, 256, 256)]
EPS = 1e-9
Loss = Callable[[Tensor, Tensor], Tensor]


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """The task loss, as anyone would write it."""
    difference = output - target
    return torch.sqrt(difference * difference + EPS).mean()


def of_bands(bands: list[Tensor]) -> Tensor:
    """Charbonnier over all coefficients of detail bands."""
    return sum(torch.sqrt(band * band + EPS).sum() for band in bands) / sum(band.numel() for band in bands)


def pytorch_wavelets(output: Tensor, target: Tensor) -> Tensor:
    """The library's 2D and 1D transforms, one after the other."""
    return of_bands(PytorchWaveletsBands("haar")(output - target, over_time=True)[1])


def dense_matrices(output: Tensor, target: Tensor) -> Tensor:
    """Multiplication of each axis with its whole transform matrix, half low, half high."""
    bands = output - target
    for axis in (1, 3, 4):
        matrix = haar_matrix(bands.shape[axis])
        bands = torch.tensordot(bands, matrix, dims=([axis], [1])).movedim(-1, axis)
    frames, height, width = (bands.shape[axis] // 2 for axis in (1, 3, 4))
    cut = [row for half in bands.split((frames, frames), 1) for row in half.split((height, height), 3)]
    return of_bands([band for row in cut for band in row.split((width, width), 4)][1:])


def haar_matrix(size: int) -> Tensor:
    """Rows of the orthonormal Haar transform of one axis."""
    matrix, half = torch.zeros(size, size), math.sqrt(0.5)
    for pair in range(size // 2):
        matrix[pair, 2 * pair : 2 * pair + 2] = half
        matrix[size // 2 + pair, 2 * pair : 2 * pair + 2] = torch.tensor([half, -half])
    return matrix


def ptwt_loss(output: Tensor, target: Tensor) -> Tensor:
    """The three-dimensional transform of ptwt."""
    import ptwt

    clip = (output - target).transpose(1, 2)  # (B, C, T, H, W)
    _, details = ptwt.wavedec3(clip, "haar", mode="zero", level=1)
    return of_bands(list(details.values()))


def ways() -> dict[str, Loss]:
    """What is compared."""
    found: dict[str, Loss] = {
        "high-frequency": HighFrequencyLoss(),
        "charbonnier": charbonnier,
        "pytorch-wavelets": pytorch_wavelets,
        "dense-matrices": dense_matrices,
    }
    if importlib.util.find_spec("ptwt"):
        found["ptwt"] = ptwt_loss
    return found


def time_losses(shape: tuple[int, ...], repeats: int) -> dict[str, object]:
    """Milliseconds and ratios for clips of one shape."""
    generator = torch.Generator().manual_seed(0)
    output = torch.rand(shape, generator=generator).requires_grad_()
    target = torch.rand(shape, generator=generator)
    seconds: dict[str, list[float]] = {name: [] for name in ways()}
    values = {}
    for _ in range(repeats + 1):
        for name, loss in ways().items():
            output.grad = None
            began = time.perf_counter()
            value = loss(output, target)
            value.backward()
            seconds[name].append(time.perf_counter() - began)
            values[name] = value.item()
    medians = {name: statistics.median(times[1:]) * 1e3 for name, times in seconds.items()}
    ours = medians["high-frequency"]
    return {
        "shape": shape,
        "milliseconds": medians,
        "fastest-milliseconds": {name: min(times[1:]) * 1e3 for name, times in seconds.items()},
        "to-charbonnier": ours / medians["charbonnier"],
        "to-ours": {name: taken / ours for name, taken in medians.items()}
        | {"ptwt": medians.get("ptwt", 0) / ours or None},
        "values": values,
    }


def share_of_step(model: str, repeats: int) -> dict[str, object]:
    """What the whole objective takes of a training step of one model, at the size that it is trained with."""
    settings = compose({"model": model, "strategy": "fedvsr"})
    network, objective = build(settings.model), build(settings.loss)
    training = settings.training
    low = torch.rand(1, training.window, 3, training.patch, training.patch)
    scale = network.scale
    high = torch.rand(1, training.window, 3, scale * training.patch, scale * training.patch)
    shares = []
    for _ in range(repeats):
        began = time.perf_counter()
        output = network(low)
        at_loss = output.detach().requires_grad_()
        middle = time.perf_counter()
        objective(at_loss, high)[0].backward()
        after = time.perf_counter()
        output.backward(at_loss.grad)
        end = time.perf_counter()
        shares.append((after - middle) / (end - began))
    return {"window": training.window, "patch": training.patch, "step-share": statistics.median(shares)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--models", nargs="*", help="for the share of a step; default: all that are there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    published = {"recurrent", "basicvsrpp", "rvrt"} & set(options("model"))
    models = sorted(published) if arguments.models is None else arguments.models
    result = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "losses": [time_losses(shape, arguments.repeats) for shape in SHAPES],
        "models": {model: share_of_step(model, 3) for model in models},
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
