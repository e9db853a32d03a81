"""Promises: LPIPS is the published one, or it says what is missing; never a random backbone."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from fedvsr_core.data.degradation import bicubic_up, modcrop
from fedvsr_core.errors import MissingToolError, ShapeError
from fedvsr_core.metrics import perceptual
from fedvsr_core.metrics.perceptual import LPIPS

from .conftest import GOLDEN


@pytest.mark.compared("lpips")
def test_clips_equal_golden(lpips, golden_clip):
    output, target, _, expected = golden_clip
    found = lpips(output, target)
    np.testing.assert_allclose(found, expected["lpips_alex_v0.1"]["per_frame"], atol=2e-4, rtol=0)
    assert lpips(output[0], target[0]) == pytest.approx(found[0], abs=1e-6)


def test_images_equal_golden(lpips):
    images, pairs = np.load(GOLDEN / "images.npz"), np.load(GOLDEN / "pairs.npz")
    compared = 0
    for image, about in json.loads((GOLDEN / "golden.json").read_text())["images"].items():
        target = modcrop(images[f"{image}/hr_u8"], 4)
        made = {"identical": target, "bicubic": bicubic_up(images[f"{image}/lr_bi_u8"])}
        for name, values in about["pairs"].items():
            if "lpips_alex_v0.1" in values:
                output = made[name] if name in made else pairs[f"{image}/{name}"]
                assert lpips(output, target) == pytest.approx(values["lpips_alex_v0.1"], abs=2e-4), name
                compared += 1
    assert compared >= 10


@pytest.mark.compared("lpips-vgg")
def test_vgg_equals_equation_1_by_hand(monkeypatch):
    torch.manual_seed(0)
    vgg = torchvision.models.vgg16(weights=None).eval()
    monkeypatch.setattr(perceptual, "load_backbone", lambda net, weights: vgg.state_dict())
    output, target = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3), dtype=np.uint8)
    heads = torch.load(Path(importlib.import_module("lpips").__file__).parent / "weights/v0.1/vgg.pth", "cpu")
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x, y = (
        ((torch.from_numpy(frame) / 127.5 - 1 - shift) / scale).movedim(2, 0)[None]
        for frame in (output, target)
    )
    expected = 0.0
    for number, layer in enumerate(vgg.features[:30]):
        x, y = layer(x), layer(y)
        if number in (3, 8, 15, 22, 29):  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
            difference = x / x.norm(dim=1, keepdim=True) - y / y.norm(dim=1, keepdim=True)
            head = heads[f"lin{(3, 8, 15, 22, 29).index(number)}.model.1.weight"]
            expected += (head * difference**2).sum(1).mean().item()
    assert LPIPS("vgg")(output, target) == pytest.approx(expected, rel=1e-5)


def test_symmetric_and_zero_only_for_the_same_frame(lpips):
    one, other = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3), dtype=np.uint8)
    assert lpips(one, one) == 0
    assert lpips(one, other) == pytest.approx(lpips(other, one), rel=1e-5)
    assert lpips(one, other) > 0.05


def test_the_border_is_cut_first(lpips):
    one, other = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    assert lpips(one, other, border=4) == lpips(one[4:-4, 4:-4], other[4:-4, 4:-4])


def test_making_it_moves_nobodys_random_numbers(backbone):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    LPIPS("alex", backbone)
    assert torch.equal(torch.rand(4), expected)


def test_refuses(lpips):
    frame = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(ShapeError, match="LPIPS is defined on rgb, got channel 'y'"):
        lpips(frame, frame, channel="y")
    with pytest.raises(ShapeError, match=r"LPIPS \(alex\) needs at least 31 pixels .* got 40x30"):
        lpips(frame[:30], frame[:30])
    with pytest.raises(ShapeError, match="must both have shape"):
        lpips(frame, frame[1:])
    with pytest.raises(ShapeError, match="net must be one of alex, vgg, got 'squeeze'"):
        LPIPS("squeeze")


def test_without_weights_it_says_where_they_are_looked_for(nowhere):
    with pytest.raises(MissingToolError, match=r"found none: give the file as weights=, name it in FEDVSR_"):
        LPIPS("alex")


def test_without_the_package_it_says_how_to_install_it(monkeypatch, nowhere):
    def absent(name):
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(perceptual.importlib, "import_module", absent)
    with pytest.raises(
        MissingToolError, match=r'needs the package lpips; .* pip install "fedvsr\[metrics\]"'
    ):
        LPIPS("alex")
