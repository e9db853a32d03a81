"""Time and peak memory of a training step of each network, forward, backward and Adam, on the CPU.

    python benchmarks/models.py                     # the paper's sizes, a clip of 5 x 64 x 64; JSON to stdout
    python benchmarks/models.py --models basicvsr --rows plain checkpointing --threads 1

Each step runs in a process of its own, after one on a clip of 16 x 16 pixels that makes what is made once.
The peak is the memory that the step takes above what the process held after that: weights, their gradients
and Adam's moments are there already. Rows are switches of ``training``, and the flow network frozen. Where a
network without checkpointing needs more memory than there is, ``--limit-gb`` ends its step: its row is null.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time

import torch

from client_app.memory_format import set_memory_format
from fedvsr_core.components import build
from fedvsr_core.models.contract import VideoModel
from server_app.config import compose

MODELS = ["basicvsr", "basicvsrpp", "iart"]
ROWS = {
    "plain": {},
    "checkpointing": {"checkpointing": True},
    "channels-last": {"channels_last": True},
    "bfloat16": {"precision": "bfloat16"},
    "frozen-flow": {"frozen": True},
}


def step(model: VideoModel, frames: int, size: int, precision: str, rounds: int = 1) -> tuple[float, float]:
    """Seconds of the fastest of some steps, and MB that its forward pass keeps for the gradient."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)
    low = torch.rand(1, frames, 3, size, size)
    high = torch.rand(1, frames, 3, model.scale * size, model.scale * size)
    seconds, kept = [], {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    for _ in range(rounds):
        kept.clear()
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            output = model(low)
        (output.float() - high).abs().mean().backward()
        optimiser.step()
        seconds.append(time.perf_counter() - began)
    return min(seconds), sum(kept.values()) / 2**20


def one(arguments: argparse.Namespace) -> dict[str, object]:
    """What one row of one network takes, in this process."""
    switches = dict(ROWS[arguments.one])
    torch.set_num_threads(arguments.threads)
    if arguments.limit_gb:
        limit = int(arguments.limit_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    settings = compose({"model": arguments.models[0]})
    model: VideoModel = build(settings.model)
    model.train()
    plain = settings.training.model_copy(update={"checkpointing": False})
    if not switches.get("checkpointing"):
        model.checkpointing = False
    set_memory_format(model, plain.model_copy(update={k: v for k, v in switches.items() if k != "frozen"}))
    for name in model.late_parameters() if switches.get("frozen") else ():
        model.get_parameter(name).requires_grad_(False)
    step(model, max(2, model.needs.min_frames), 16, switches.get("precision", "float32"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, kept = step(
        model, arguments.frames, arguments.size, switches.get("precision", "float32"), arguments.repeats
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": round(seconds, 2), "peak-mb": round(peak / 1024), "kept-mb": round(kept)}


def measured(model: str, row: str, arguments: argparse.Namespace) -> dict[str, object] | None:
    """A row, measured in a process of its own; None if it ran out of memory."""
    words = [sys.executable, __file__, "--one", row, "--models", model]
    for name in ("frames", "size", "threads", "repeats", "limit_gb"):
        words += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{model}, {row}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--limit-gb", type=float, default=0)
    parser.add_argument("--one", choices=list(ROWS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        json.dump(one(arguments), sys.stdout)
        return
    result = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "clip": [1, arguments.frames, 3, arguments.size, arguments.size],
        "models": {
            model: {row: measured(model, row, arguments) for row in arguments.rows}
            for model in arguments.models
        },
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
