"""Promises: ``import fedvsr`` is light, and has these names; whoever takes one away edits this list."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import fedvsr

PUBLIC = {
    "fedvsr": "ClipDataset HighFrequencyLoss __version__ build_model degradations load_model load_pretrained"
    " loss_aware losses metrics models strategies upscale",
    "fedvsr.degradations": "bd12 bd13 bicubic_down bicubic_up build_degradation degrade modcrop names",
    "fedvsr.losses": "Charbonnier HighFrequencyLoss WeightedSum",
    "fedvsr.metrics": "lpips names niqe psnr score ssim tlp tof vmaf warping_error",
    "fedvsr.models": "BasicVSR BasicVSRPlusPlus IART RVRT Recurrent SizeNeeds VRT VideoModel build_model"
    " names settings_of",
    "fedvsr.strategies": "Combined FedAvg FedVSR InverseLoss RoundStrategy Scaffold Uniform Update"
    " WeightedMean",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_inventory(module):
    assert set(importlib.import_module(module).__all__) == set(PUBLIC[module].split())


@pytest.mark.parametrize("module", PUBLIC)
def test_every_name_is_there_and_says_what_it_is(module):
    place = importlib.import_module(module)
    for name in place.__all__:
        value = getattr(place, name)
        assert name == "__version__" or value.__doc__, name
        assert name in dir(place)


def test_types_are_given_for_the_same_names():
    stub = ast.parse(Path(fedvsr.__file__).with_suffix(".pyi").read_text())
    typed = [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert {*typed, "__version__"} == set(fedvsr.__all__)


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(AttributeError, match=r"^module 'fedvsr' has no name 'Model'; there are: Clip"):
        fedvsr.Model  # noqa: B018


def test_importing_it_loads_nothing_heavy():
    code = (
        "import fedvsr, sys; heavy = {'torch', 'numpy', 'flwr', 'hydra', 'cv2'} & set(sys.modules);"
        "assert not heavy, heavy; assert fedvsr.__version__"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(fedvsr.__file__).parents[1], check=True)


def test_the_version_is_that_of_the_project():
    project = (Path(fedvsr.__file__).parents[1] / "pyproject.toml").read_text()
    assert f'version = "{fedvsr.__version__}"' in project
