"""Promises of every declared metric, of which none is named here: a new one is tested as it is declared."""

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from fedvsr_core.metrics.average import Mean, dataset_means, summed
from fedvsr_core.metrics.names import METRICS, measured_with
from fedvsr_core.metrics.suite import Suite

from .conftest import GOLDEN

FRAMES = 4
RNG = np.random.default_rng(0)


def moving(frames, height=56, width=64):
    """Smooth blobs that move to the right by 2 pixels a frame."""
    rows, columns = np.mgrid[:height, : width + 2 * frames] / 6.0
    wide = np.stack([np.sin(columns + phase) * np.cos(rows - phase) for phase in (0, 1, 2)], axis=-1)
    return np.stack([np.uint8(127.5 + 120 * wide[:, 2 * t : 2 * t + width]) for t in range(frames)])


def noisy(clip):
    """A clip with a little noise, and with much."""
    return (np.uint8(np.clip(clip + RNG.normal(0, sigma, clip.shape), 0, 255)) for sigma in (4, 60))


TARGET = moving(FRAMES)
SLIGHTLY, BADLY = noisy(TARGET)


def random_backbone(net, weights=None):
    torch.manual_seed(0)
    network = {"alex": torchvision.models.alexnet, "vgg": torchvision.models.vgg16}[net](weights=None)
    return {f"features.{name}": tensor for name, tensor in network.features.state_dict().items()}


@pytest.fixture(scope="module", params=METRICS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def suite(name):
    """The metric by itself; LPIPS with random weights, since what is promised here holds for any."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("perceptual", "dists"):
            patch.setattr(f"fedvsr_core.metrics.{module}.load_backbone", random_backbone)
        return Suite([name], border=0, device=torch.device("cpu"))


@cache
def clips(name):
    """The ground truth, a clip near it, and one that is far from it."""
    if METRICS[name].reference:
        return TARGET, SLIGHTLY, BADLY
    natural = np.load(GOLDEN / "niqe.npz")["natural"]  # what knows no ground truth knows natural pictures
    natural = np.stack([natural[:192, 2 * t : 2 * t + 288] for t in range(FRAMES)])
    return natural, *noisy(natural)


def measure(suite, output, target=TARGET, step=FRAMES):
    with suite.clip() as scorer:
        for start in range(0, len(output), step):
            scorer.add(output[start : start + step], target[start : start + step])
        return scorer.values()


def test_some_are_declared():
    assert {"psnr-y", "ssim-rgb", "lpips", "vmaf", "tof", "warping"} <= METRICS.keys()
    assert {metric.best for metric in METRICS.values()} == {"high", "low", "truth"}
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)


def test_the_page_of_evaluation_says_what_it_was_checked_against(name):
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    table = page.partition("## Metrics")[2]
    rows = [line.split("|")[1:5] for line in table.splitlines() if line.startswith("| `")]
    assert any(f"`{name}`" in cells[0] + cells[1] and all(map(str.strip, cells)) for cells in rows), (
        f"docs/evaluation.md needs a row that says which other implementation '{name}' equals, and how far"
    )


def compared():
    """The metrics of all tests that are marked as a comparison with an implementation that isn't ours."""
    for file in Path(__file__).parent.glob("test_*.py"):
        yield from compared_in(file.read_text())


def compared_in(text):
    for node in ast.walk(ast.parse(text)):
        for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            if ast.unparse(mark).startswith("pytest.mark.compared("):
                yield from map(ast.literal_eval, mark.args)


def test_another_implementation_says_the_same(name):
    check_compared(name, compared())


def check_compared(name, marked):
    assert name in marked, (
        f"no test compares '{name}' with an implementation that isn't ours; mark the one that does with"
        f" @pytest.mark.compared('{name}')"
    )


def test_no_comparison_is_of_nothing():
    assert set(compared()) == set(METRICS)


def test_a_value_for_each_frame_or_pair(name, suite):
    values = measure(suite, clips(name)[1])
    assert tuple(values) == measured_with(name)
    assert {len(scores) for scores in values.values()} == {FRAMES - METRICS[name].paired}
    assert all(np.isfinite(scores).all() for scores in values.values())


def test_values_lie_in_the_declared_range(name, suite):
    low, high = METRICS[name].range
    for output in (*clips(name), 255 - clips(name)[0]):
        finite = [value for value in measure(suite, output)[name] if np.isfinite(value)]
        assert all(low - 1e-6 <= value <= high + 1e-6 for value in finite)


def test_the_better_end_is_the_declared_one(name, suite):
    perfect, slightly, badly = (Mean.of(measure(suite, output)[name]).value for output in clips(name))
    if not METRICS[name].reference:  # nothing is perfect
        assert METRICS[name].best == "low"
        assert 0 < perfect < slightly < badly
    elif METRICS[name].best == "high":
        assert perfect > slightly > badly
    elif METRICS[name].best == "low":
        assert 0 == perfect < slightly < badly
    else:
        truth = Mean.of(measure(suite, TARGET)[measured_with(name)[-1]]).value
        assert perfect == truth
        assert (name == measured_with(name)[-1]) == (slightly == truth == badly)


def test_the_order_and_size_of_parts_is_immaterial(name, suite):
    _, slightly, badly = clips(name)
    whole = measure(suite, badly)[name]
    np.testing.assert_allclose(measure(suite, badly, step=1)[name], whole, rtol=1e-5)
    parts = [{name: whole}, {name: measure(suite, slightly)[name]}, {name: whole[:1]}]
    for averaging in ("clips", "frames"):
        merged = [
            summed(dataset_means([clip], averaging)[name] for clip in order) for order in (parts, parts[::-1])
        ]
        assert merged[0].value == pytest.approx(merged[1].value, rel=1e-12)
        assert merged[0].value == pytest.approx(dataset_means(parts, averaging)[name].value, rel=1e-12)


def test_it_is_printed_with_its_unit(name):
    metric = METRICS[name]
    assert metric.title.startswith(metric.label)
    assert metric.value(1.23456789) == f"{1.23456789:.{metric.digits}f} {metric.unit}".strip()
