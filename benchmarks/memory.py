"""Memory and time of a training step of VRT and RVRT, by frames and patch; and of deformable attention.

    python benchmarks/memory.py --estimate        # the first table of docs/models.md; five minutes on a CPU
    python benchmarks/memory.py                   # its second table: steps on a CPU, ten minutes and 7 GB
    python benchmarks/memory.py --attention       # guided deformable attention beside a naive loop
    python benchmarks/memory.py --device cuda --models vrt --frames 6 12 --patches 64 96

An estimate is what autograd keeps for the backward pass of one clip, each storage once, and four times the
parameters (weights, gradients, both moments of Adam), found with tensors that have shapes and no content.
What single operations take in passing comes on top. A measured step is a process of its own: forward, and
backward of mean(output^2), of one clip; `step-gb` is what it adds to the peak of the process, `process-gb`
that peak (resident on a CPU, allocated on CUDA).
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from training_memory import kept_gb, largest_batch

from fedvsr_core.components import build
from fedvsr_core.layers.deformable_attention import deformable_attention
from server_app.config import compose

ESTIMATED = {"vrt": (6, 12), "vrt_16": (16,), "rvrt": (6, 14, 30)}
MEASURED = {"vrt": (6,), "rvrt": (4,)}


def peak_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def estimate(model: str, frames: int, patch: int, checkpointing: bool) -> dict[str, object]:
    """What a training step must keep, without computing it."""
    network = build(compose({"model": model}).model).train()
    network.checkpointing = checkpointing
    parameters = sum(one.numel() for one in network.parameters())
    kept = kept_gb(network, frames, patch)
    return {
        "model": model,
        "frames": frames,
        "patch": patch,
        "checkpointing": checkpointing,
        "kept-gb": round(kept, 2),
        "weights-gb": round(16 * parameters / 1e9, 2),
        "batch-by-gb": {
            card: largest_batch(model, card, parameters=parameters, kept=kept) for card in (8, 16, 24, 40, 80)
        },
    }


def step(model: str, frames: int, patch: int, checkpointing: bool, device: torch.device) -> dict[str, object]:
    """One forward and backward pass."""
    torch.manual_seed(0)
    network = build(compose({"model": model}).model).to(device).train()
    network.checkpointing = checkpointing
    low = torch.rand(1, frames, 3, patch, patch, device=device)
    before = peak_gb(device)
    began, processor = time.perf_counter(), time.process_time()
    output = network(low)
    middle = time.perf_counter()
    output.square().mean().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return {
        "model": model,
        "frames": frames,
        "patch": patch,
        "checkpointing": checkpointing,
        "step-gb": round(peak_gb(device) - before, 2),
        "process-gb": round(peak_gb(device), 2),
        "forward-s": round(middle - began, 1),
        "backward-s": round(time.perf_counter() - middle, 1),
        "cpu-s": round(time.process_time() - processor, 1),
    }


def naive(query: Tensor, key_value: Tensor, offsets: Tensor, heads: int, kernel: tuple[int, int]) -> Tensor:
    """Deformable attention as anyone would write it: all samples, then softmax, with autograd's gradients."""
    batch, frames, channels, height, width = query.shape
    taps = kernel[0] * kernel[1]
    groups = offsets.shape[2] // (frames * taps * 2)
    place = offsets.view(batch * frames, frames, groups, taps, 2, height, width)
    rows, columns = torch.arange(height).view(-1, 1), torch.arange(width)
    samples = []
    for turn in range(frames):
        source = key_value.roll(-turn, dims=1).reshape(batch * frames * groups, -1, height, width)
        for tap in range(taps):
            y = rows + tap // kernel[1] - kernel[0] // 2 + place[:, turn, :, tap, 0]
            x = columns + tap % kernel[1] - kernel[1] // 2 + place[:, turn, :, tap, 1]
            grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1).flatten(0, 1)
            samples.append(
                F.grid_sample(source, grid, align_corners=False).view(
                    -1, 2, heads, channels // heads, height, width
                )
            )
    keys, values = torch.stack(samples, dim=1).unbind(2)  # (N, frames * taps, heads, d, H, W)
    queries = query.reshape(-1, 1, heads, channels // heads, height, width) * (channels // heads) ** -0.5
    share = (queries * keys).sum(3, keepdim=True).softmax(1)
    return (share * values).sum(1).reshape(query.shape)


def attend(way: str) -> dict[str, object]:
    """One call in the size of RVRT, forward and backward."""
    torch.manual_seed(0)
    shapes = [(1, 2, 288, 64, 64), (1, 2, 576, 64, 64), (1, 2, 432, 64, 64)]
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    ways: dict[str, Callable[..., Tensor]] = {"ours": deformable_attention, "naive": naive}
    before, times = peak_gb(torch.device("cpu")), []
    for _ in range(3):
        began = time.process_time()
        output = ways[way](*inputs, heads=12, kernel=(3, 3))
        value = output.square().mean()
        value.backward()
        times.append(time.process_time() - began)
    return {
        "way": way,
        "cpu-s": round(min(times), 2),
        "step-gb": round(peak_gb(torch.device("cpu")) - before, 2),
        "value": value.item(),
    }


def rows(arguments: argparse.Namespace) -> Iterator[list[str]]:
    if arguments.attention:
        yield from (["--one", "attention", way] for way in ("ours", "naive"))
        return
    for model in arguments.models or (ESTIMATED if arguments.estimate else MEASURED):
        for frames in arguments.frames or (ESTIMATED if arguments.estimate else MEASURED).get(model, (6,)):
            for patch in arguments.patches:
                yield ["--one", model, str(frames), str(patch), str(int(not arguments.no_checkpointing))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=None)
    parser.add_argument("--frames", nargs="*", type=int)
    parser.add_argument("--patches", nargs="*", type=int, default=[64])
    parser.add_argument("--no-checkpointing", action="store_true")
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--attention", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.one and arguments.one[0] == "attention":
        print(json.dumps(attend(arguments.one[1])))
        return
    if arguments.one:
        model, frames, patch, checkpointing = arguments.one
        print(
            json.dumps(
                step(model, int(frames), int(patch), checkpointing == "1", torch.device(arguments.device))
            )
        )
        return
    print(
        json.dumps(
            {"python": platform.python_version(), "torch": torch.__version__, "device": arguments.device}
        )
    )
    common = ["--device", arguments.device, "--threads", str(arguments.threads)]
    for row in rows(arguments):
        if arguments.estimate:
            _, model, frames, patch, _ = row
            for checkpointing in (True, False):
                print(json.dumps(estimate(model, int(frames), int(patch), checkpointing)), flush=True)
            continue
        subprocess.run([sys.executable, __file__, *common, *row], check=True)


if __name__ == "__main__":
    main()
