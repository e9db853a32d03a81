"""What all tests stand on: a Flower task of this process, as the apps have one, one thread, a fast Hydra."""

from functools import lru_cache

import pytest
import torch
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import settings

from server_app import config

# A law that forty examples don't break is hardly broken by a hundred; a busy machine is slow, not wrong.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")

pytest_plugins = ("tests.journals", "tests.video_fixtures")


@pytest.fixture(scope="session", autouse=True)
def flower_task():
    """Messages can be made: they carry the run and the node of the process that makes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskIdentity, "_task_id", 1)
        patch.setattr(TaskIdentity, "_run_id", 1)
        patch.setattr(TaskIdentity, "_node_id", 1)  # the SuperLink's
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors here are tiny: more threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def composed_once():
    """Hydra composes the same choices once in a process: nothing below ``conf/`` changes meanwhile."""
    compose = config._composed
    kept = lru_cache(256)(lambda *overrides: compose(list(overrides)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "_composed", lambda overrides: kept(*overrides))
        yield


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
