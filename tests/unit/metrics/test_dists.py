"""Promises: DISTS equals the authors' package, with the same VGG16, and says what it lacks."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision

from fedvsr_core.errors import CheckpointError, MissingToolError, ShapeError
from fedvsr_core.metrics import dists
from fedvsr_core.metrics.dists import DISTS

rng = np.random.default_rng(0)
TARGET = np.kron(rng.integers(0, 256, (3, 9, 8, 3)), np.ones((1, 6, 6, 1))).astype(np.uint8)
OUTPUT = np.uint8(np.clip(TARGET + rng.normal(0, 20, TARGET.shape), 0, 255))


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    return torchvision.models.vgg16(weights=None).eval()


@pytest.fixture
def metric(vgg, monkeypatch):
    monkeypatch.setattr(dists, "load_backbone", lambda net, weights: vgg.state_dict())
    return DISTS()


@pytest.mark.compared("dists")
def test_equals_the_authors_package(metric, vgg, monkeypatch):
    monkeypatch.setattr(torchvision.models, "vgg16", lambda pretrained: vgg)
    theirs = importlib.import_module("DISTS_pytorch").DISTS()
    pair = [torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255 for clip in (OUTPUT, TARGET)]
    expected = theirs(*pair).detach().numpy()
    assert (expected > 1e-3).all()
    np.testing.assert_allclose(metric(OUTPUT, TARGET), expected, atol=2e-6)
    assert metric(OUTPUT[0], TARGET[0]) == pytest.approx(expected[0], abs=2e-6)


def test_symmetric_and_zero_for_the_same_frame(metric):
    np.testing.assert_array_equal(metric(TARGET, TARGET), np.zeros(3))
    np.testing.assert_allclose(metric(OUTPUT, TARGET), metric(TARGET, OUTPUT), rtol=1e-12)


def test_refuses(metric, monkeypatch, tmp_path):
    with pytest.raises(ShapeError, match=r"must both have shape"):
        metric(OUTPUT, TARGET[:2])
    monkeypatch.setattr(dists, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"^DISTS needs the package DISTS-pytorch; install it with"):
        DISTS()
    monkeypatch.undo()
    (tmp_path / "weights.pt").write_bytes(b"others")
    place = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(dists, "find_spec", lambda name: place)
    monkeypatch.setattr(dists, "load_backbone", lambda net, weights: {})
    with pytest.raises(CheckpointError, match=r"must be that of DISTS-pytorch 0\.1, got SHA-256 "):
        DISTS()
