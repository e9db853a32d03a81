"""Golden tensors, modules with golden weights, and a home of Flower that tests have for themselves."""

import pytest
from safetensors.torch import load_file

from tests.unit.golden import GOLDEN


@pytest.fixture(scope="session")
def golden_tensors():
    """From the name of a golden file, without its suffix, to all its tensors."""
    return lambda name: load_file(GOLDEN / f"{name}.safetensors")


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


@pytest.fixture(autouse=True, scope="session")
def _flower_home_of_tests(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLWR_HOME", str(tmp_path_factory.mktemp("flower-home")))
        yield
