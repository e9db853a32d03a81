"""Golden clips, and the weights that LPIPS looks through where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedvsr_core.errors import MissingToolError
from fedvsr_core.metrics.backbones import VARIABLES, load_backbone
from fedvsr_core.metrics.perceptual import LPIPS

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "metrics"
TRUNK = ROOT.parent / "shared" / "golden" / "metrics" / "alexnet_features.safetensors"


@pytest.fixture(params=["clip_bikes_bicubic", "clip_carphone_h264"])
def golden_clip(request):
    """A distorted clip, its ground truth, the stored arrays and what independent code says of them."""
    arrays = np.load(GOLDEN / f"{request.param}.npz")
    expected = json.loads((GOLDEN / "golden.json").read_text())["clips"][request.param]
    return arrays["out"], arrays["gt"], arrays, expected


@pytest.fixture(scope="session")
def backbone():
    """The file of AlexNet's ImageNet weights, or None to look where users have them."""
    found = TRUNK if TRUNK.is_file() else None
    try:
        load_backbone("alex", found)
    except MissingToolError as error:
        pytest.skip(f"LPIPS can't be tested without the weights of AlexNet: {error}")
    return found


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
