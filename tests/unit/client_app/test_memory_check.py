"""Promises: a network whose weights, gradients and moments can't fit is refused before it is tried."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from client_app import memory_check
from client_app.memory_check import check_memory
from fedvsr_core.flower.arrays import record_from_arrays

ARRAYS = record_from_arrays({"weight": np.zeros(2**18 - 32, np.float32)})  # 1 MB with numpy's header


@pytest.fixture
def free(monkeypatch):
    """Says how many bytes are free."""

    def say(size):
        monkeypatch.setattr(memory_check.psutil, "virtual_memory", lambda: SimpleNamespace(available=size))

    return say


def test_what_just_fits(free):
    free(4 * 2**20)
    check_memory(ARRAYS, torch.device("cpu"))


def test_what_does_not(free):
    free(4 * 2**20 - 1)
    with pytest.raises(
        MemoryError, match=r"^weights, gradients and moments need 4 MB, but 4 MB are free on cpu;"
    ):
        check_memory(ARRAYS, torch.device("cpu"))


def test_the_memory_of_a_gpu_counts(free, monkeypatch):
    free(2**40)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**20, 2**34))
    with pytest.raises(MemoryError, match="but 1 MB are free on cuda:0"):
        check_memory(ARRAYS, torch.device("cuda:0"))
