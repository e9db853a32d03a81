"""Golden values: those of the repository, and the larger ones beside it where they are."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
FOLDERS = (
    ROOT / "tests" / "golden" / "models",
    ROOT.parent / "shared" / "golden" / "recurrent",
    ROOT.parent / "shared" / "golden" / "transformers",
)


@pytest.fixture(scope="session")
def golden_path():
    """From the name of a golden file to its path; skips the test if only a folder that isn't here has it."""

    def find(name):
        for folder in FOLDERS:
            if (folder / name).exists():
                return folder / name
        pytest.skip(f"'{name}' is one of the larger golden files, which aren't beside the repository")

    return find


@pytest.fixture(scope="session")
def golden_tensors(golden_path):
    """From the names of golden files, without their suffix, to all their tensors."""

    def load(*names):
        tensors = {}
        for name in names:
            tensors |= load_file(golden_path(f"{name}.safetensors"))
        return tensors

    return load


@pytest.fixture(scope="session")
def golden_module(golden_tensors):
    """Give a module the weights of a golden file, stored in small types; returns the other tensors."""

    def load(module, name):
        tensors, own = golden_tensors(name), module.state_dict()
        weights = {key.removeprefix("sd."): one for key, one in tensors.items() if key.startswith("sd.")}
        module.load_state_dict({key: one.to(own[key].dtype) for key, one in weights.items()})
        module.eval()
        return tensors

    return load
