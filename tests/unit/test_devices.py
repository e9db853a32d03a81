"""Promises: the best device that is here, or the one that was asked for, or one sentence."""

import sys

import psutil
import pytest
import torch

from fedvsr_core.devices import choose, describe, peak_memory_mb, return_freed_memory
from fedvsr_core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(False, False, "cpu"), (True, False, "cuda"), (True, True, "cuda"), (False, True, "mps")],
)
def test_auto_takes_what_is_here(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose().type == choose("auto").type == expected


def test_a_device_by_name():
    assert choose("cpu") == torch.device("cpu")
    assert describe(choose("cpu")) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "", "cuda:-1", "cuda:99"])
def test_a_device_that_is_not_here(name):
    with pytest.raises(
        ConfigurationError, match=f"^device must be auto, cpu, .*; torch can't use '{name}': "
    ):
        choose(name)


def test_a_cuda_device_is_called_by_its_product(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Imaginary {device.index}")
    assert describe(torch.device("cuda:1")) == "cuda:1 Imaginary 1"


def test_peak_memory_of_the_process_is_in_megabytes():
    resident = psutil.Process().memory_info().rss / 2**20
    assert resident - 1 <= peak_memory_mb(torch.device("cpu")) <= psutil.virtual_memory().total / 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_freed_memory_between_what_is_used_goes_back_to_the_system():
    tensors = [torch.ones(25_000) for _ in range(1000)]  # of 100 kB, which glibc takes from its heap
    kept = tensors[::2]
    del tensors
    resident = psutil.Process().memory_info().rss
    return_freed_memory()
    assert psutil.Process().memory_info().rss < resident - 20e6
    assert all((block == 1).all() for block in kept)
