"""Promises: PSNR and SSIM equal those of an independent implementation on real and distorted frames."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedvsr_core.data.degradation import bicubic_up, modcrop
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
