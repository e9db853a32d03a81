"""Bytes that a client receives and sends in a round, by model, and what half of them do to a run.

    python benchmarks/wire.py             # JSON to stdout; minutes

`models`: bytes down, and up in whole weights or in float16 differences; what doesn't travel isn't counted.
`frozen` is the same while a pretrained flow network stays as it is.
`runs`: real training of the default model on the default clips with both, by seed. `deviation` is what the
weights at the end differ by, absolutely, and `between-seeds` what another seed makes of them: training
amplifies the smallest difference. `psnr-y` is of eight frames of each held-out clip after the last round.
"""

import argparse
import json
import sys
from collections.abc import Mapping

import numpy as np
import torch
from flwr.app import Array, ArrayRecord
from in_process import federate

from fedvsr_core.components import build
from fedvsr_core.flower.arrays import size_bytes, to_record
from fedvsr_core.flower.differences import to_differences
from fedvsr_core.flower.travelling import travelling
from server_app.config import compose, options

CLIENTS = 2


def sizes(name: str) -> dict[str, object]:
    """Bytes of one client and round for a model."""
    model = build(compose({"model": name}).model)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "all": travel(travelling(model, frozen=False)),
        "frozen": travel(travelling(model, frozen=True)) if model.late else None,
    }


def travel(state: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Bytes of what travels."""
    start = to_record(state)
    learned = ArrayRecord({key: Array(array.numpy() + np.float32(1e-3)) for key, array in start.items()})
    return {
        "down": size_bytes(start),
        "up": size_bytes(learned),
        "up-float16": size_bytes(to_differences(learned, start)),
    }


def compare(seed: int, rounds: int, steps: int) -> dict[str, object]:
    """The same run with either upload."""
    shared = f"seed={seed} rounds={rounds} training.steps={steps}"
    runs = {
        upload: federate(compose({"overrides": f"{shared} training.upload={upload}"}), clients=CLIENTS)
        for upload in ("weights", "float16")
    }
    return {
        "seed": seed,
        "psnr-y": {upload: run.psnr_y[-1] for upload, run in runs.items()},
        "bytes-up": {upload: run.rounds[-1]["bytes-up"] // CLIENTS for upload, run in runs.items()},
        "deviation": deviation(runs["weights"].state, runs["float16"].state),
        "state": runs["weights"].state,
    }


def deviation(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest and mean absolute difference of two models."""
    apart = torch.cat([(one[name] - other[name]).flatten().abs() for name in one])
    return {"max": apart.max().item(), "mean": apart.mean().item()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs = [compare(seed, arguments.rounds, arguments.steps) for seed in arguments.seeds]
    states = [run.pop("state") for run in runs]
    result = {
        "models": {name: sizes(name) for name in options("model")},
        "runs": runs,
        "between-seeds": [deviation(states[0], state) for state in states[1:]],
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
