"""Promises: the kernel for CUDA has the values of the path for a CPU, at any size and dtype, and compiles."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fedvsr_core.losses.high_frequency import HighFrequencyLoss

triton = pytest.importorskip("triton", reason="Triton comes with torch for CUDA on Linux")

NAME = "fedvsr_core.losses.haar_kernel"
SCRIPT = """
import itertools, json, math, sys
import torch
from fedvsr_core.losses import haar_charbonnier, haar_kernel

EPS = 1e-9

class Cuda(torch.Tensor):
    # On the CPU, where Triton's interpreter runs, but it says that it is on a CUDA device.
    device = torch.device("cuda")

def clips(shape, dtype):
    generator = torch.Generator().manual_seed(sum(shape))
    return [torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype) for _ in range(2)]

def both(output, target, over_time):
    norm = math.sqrt(8 if over_time else 4)
    how = {"smoothing": norm**2 * EPS, "scale": 1 / norm, "over_time": over_time}
    ours = haar_kernel.fused_detail(output, target, **how)
    return ours, haar_charbonnier._detail_in_parts(output, target, **how)

def apart(ours, expected):
    assert [one.dtype for one in ours] == [other.dtype for other in expected]
    assert [one.shape for one in ours] == [other.shape for other in expected]
    return max(((one - other).abs() / (1 + other.abs())).max().item() for one, other in zip(ours, expected))

found = {"float64": [], "float32": [], "half": [], "layout": [], "levels": []}
shapes = [(1, 1, 1, 1, 1), (1, 2, 1, 2, 2), (2, 3, 2, 5, 7), (1, 4, 3, 8, 16), (1, 5, 1, 9, 1)]
shapes.append((1, 1, 2, 4, 600))  # more columns than one program takes
for shape, over_time, alone in itertools.product(shapes, (True, False), (True, False)):
    for name in ("float64", "float32"):
        output, target = clips(shape, getattr(torch, name))
        found[name].append(apart(*both(output, None if alone else target, over_time)))
for dtype in (torch.float16, torch.bfloat16):
    output, target = clips((1, 4, 3, 6, 5), dtype)
    found["half"].append(apart(*both(output, target.float(), True)))
output, target = clips((1, 4, 3, 8, 6), torch.float64)
permuted = output.permute(0, 2, 1, 4, 3).contiguous().permute(0, 2, 1, 4, 3)
found["layout"].append(apart(both(permuted, target, True)[0], both(output, target, True)[1]))

plain, calls = haar_kernel.fused_detail, []
def watched(output, target, **how):
    calls.append(output.shape)
    clips = [None if clip is None else clip.as_subclass(torch.Tensor) for clip in (output, target)]
    summed, low, gradient = plain(*clips, **how)
    return summed, low.as_subclass(Cuda), gradient
haar_kernel.fused_detail = watched
output, target = clips((1, 5, 2, 12, 9), torch.float64)
for levels in (1, 2, 3):
    expected = haar_charbonnier._detail(output, target, levels, EPS, 0.5, over_time=True)
    claimed = output.as_subclass(Cuda)
    ours = haar_charbonnier._detail(claimed, target, levels, EPS, 0.5, over_time=True)
    assert len(calls) == levels, calls
    calls.clear()
    found["levels"].append(apart(ours, expected))
json.dump({name: max(values) for name, values in found.items()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def deviations():
    """Largest relative deviations from the path for a CPU, by Triton's interpreter in its own process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("what", "most"), [("float64", 1e-12), ("float32", 1e-5), ("half", 1e-5), ("layout", 1e-12)]
)
def test_it_agrees_with_the_path_for_a_cpu(deviations, what, most):
    assert 0 <= deviations[what] < most


def test_a_cuda_device_takes_it_on_every_level(deviations):
    assert 0 <= deviations["levels"] < 1e-12


@pytest.mark.parametrize("over_time", [True, False])
def test_it_compiles_for_a_gpu_without_one(monkeypatch, tmp_path, over_time):
    # A Hopper GPU; each sample of both clips is read once, two at a time, and its gradient is written once.
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    module = importlib.import_module(NAME)
    pointers = dict.fromkeys(("output", "target", "gradient", "low", "sums"), "*fp32")
    numbers = dict.fromkeys(("frames", "times", "channels", "height", "rows", "width", "columns"), "i32")
    constants = {
        "smoothing": 8e-9, "scale": 0.35, "over_time": over_time, "with_target": True, "block": 128
    }  # fmt: skip
    signature = pointers | numbers | dict.fromkeys(constants, "constexpr")
    multiples = {(place,): [["tt.divisibility", 16]] for place in (0, 1, 2, 3, 4, 8, 9, 10, 11)}
    source = triton.compiler.ASTSource(
        fn=module._detail_of_cells, signature=signature, constexprs=constants, attrs=multiples
    )
    target = triton.backends.compiler.GPUTarget("cuda", 90, 32)
    assembly = triton.compile(source, target=target).asm["ptx"]
    assert assembly.count("ld.global.v2.b32") == (8 if over_time else 4)
    assert "ld.global.b32" not in assembly
    assert assembly.count("sqrt.approx") >= (7 if over_time else 3)
    assert "ld.local" not in assembly


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(1, 16, 3, 256, 256), (2, 5, 3, 63, 51), (1, 1, 3, 64, 64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("levels", [1, 2])
def test_on_a_gpu(shape, dtype, levels):
    results = {}
    for device in ("cpu", "cuda"):
        generator = torch.Generator().manual_seed(0)
        output, target = (torch.randn(shape, generator=generator).to(device, dtype) for _ in range(2))
        output.requires_grad_()
        loss = HighFrequencyLoss(levels=levels)(output, target.float())
        loss.backward()
        results[device] = loss.detach().cpu(), output.grad.cpu()
    torch.testing.assert_close(results["cuda"][0], results["cpu"][0], rtol=1e-5, atol=0)
    torch.testing.assert_close(results["cuda"][1], results["cpu"][1], rtol=1e-2, atol=1e-7)


@pytest.mark.gpu
def test_it_never_waits_for_the_gpu():
    output, target = torch.rand(2, 1, 4, 3, 64, 64, device="cuda").unbind()
    output.requires_grad_()
    HighFrequencyLoss()(output, target).backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        HighFrequencyLoss()(output, target).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
