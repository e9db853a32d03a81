"""Promises: PSNR and SSIM equal those of an independent implementation on real and distorted frames."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fedvsr_core.data.degradation import bicubic_up, modcrop
from fedvsr_core.errors import ShapeError
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics"
METRICS = {"psnr": (psnr, 1e-4), "ssim": (ssim, 1e-5)}
PAIRS = [
    (image, pair, values)
    for image, about in json.loads((GOLDEN / "golden.json").read_text())["images"].items()
    for pair, values in about["pairs"].items()
]


@pytest.fixture(scope="module")
def images():
    return np.load(GOLDEN / "images.npz")


@pytest.fixture(scope="module")
def pairs():
    return np.load(GOLDEN / "pairs.npz")


def test_there_are_goldens():
    assert len(PAIRS) == 16
    assert sum(len(values) for _, _, values in PAIRS) > 100


@pytest.mark.parametrize(
    ("image", "pair", "values"), PAIRS, ids=[f"{image}-{pair}" for image, pair, _ in PAIRS]
)
def test_equals_golden(images, pairs, image, pair, values):
    target = modcrop(images[f"{image}/hr_u8"], 4)
    if pair == "identical":
        output = target
    elif pair.startswith("bicubic_up_of_"):
        output = bicubic_up(images[f"{image}/lr_{pair.removeprefix('bicubic_up_of_')}_u8"])
    else:
        output = pairs[f"{image}/{pair}"]
    compared = 0
    for key, expected in values.items():
        name, _, rest = key.partition("_")
        if name in METRICS:
            metric, tolerance = METRICS[name]
            channel, _, border = rest.partition("_crop")
            value = metric(output, target, channel=channel, border=int(border))
            assert value == pytest.approx(float(expected), abs=tolerance), key
            compared += 1
    assert compared >= 2


@pytest.mark.compared("psnr-y", "psnr-rgb", "ssim-y", "ssim-rgb")
@pytest.mark.parametrize("channel", ["rgb", "y"])
@pytest.mark.parametrize("name", METRICS)
def test_clips_equal_golden(golden_clip, name, channel):
    output, target, _, expected = golden_clip
    metric, tolerance = METRICS[name]
    values = expected[f"{name}_{channel}_crop0"]
    found = metric(output, target, channel=channel)
    np.testing.assert_allclose(found, values["per_frame"], atol=tolerance, rtol=0)
    assert found.mean() == pytest.approx(values["clip_mean"], abs=tolerance)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("channel", ["rgb", "y"])
@pytest.mark.parametrize("name", METRICS)
def test_torch_equals_numpy(golden_clip, name, channel, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    output, target, _, _ = golden_clip
    output = np.concatenate([output[:3], target[:1]])  # the last frame is identical
    target = np.concatenate([target[:3], target[:1]])
    metric, _ = METRICS[name]
    on_device = {"channel": channel, "border": 3, "device": torch.device(device)}
    found = metric(output, target, **on_device)
    np.testing.assert_allclose(found, metric(output, target, channel=channel, border=3), rtol=1e-12)
    # Kernels of a GPU sum in another order for another number of frames.
    assert metric(output[0], target[0], **on_device) == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_torch_refuses_as_numpy_does(name):
    frame = np.zeros((12, 12, 3), np.uint8)
    metric, _ = METRICS[name]
    for output, options, message in [
        (frame[1:], {}, "must both have shape"),
        (frame, {"border": 6}, "border must leave pixels of a 12x12 frame"),
        (frame, {"channel": "cb"}, "channel must be one of rgb, y, got 'cb'"),
    ]:
        with pytest.raises(ShapeError, match=message):
            metric(output, frame, device=torch.device("cpu"), **options)


def test_torch_ssim_needs_a_window():
    frame = np.zeros((12, 10, 3), np.uint8)
    with pytest.raises(ShapeError, match="at least 11x11 pixels inside the border, got 10x12"):
        ssim(frame, frame, device=torch.device("cpu"))
