"""Promises: each precision says which kernels a CUDA device may use, and leaves no trace."""

import pytest
import torch

from fedvsr_core.training.precision import autocast, fast_kernels


def flags():
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
    )


@pytest.mark.parametrize(
    ("precision", "rounded"), [("float32", False), ("tf32", True), ("bfloat16", True), ("float16", True)]
)
def test_only_float32_is_exact(precision, rounded):
    before = flags()
    with fast_kernels(precision, torch.device("cuda")):
        assert flags() == (rounded, rounded, True)
    assert flags() == before


def test_a_cpu_is_left_alone():
    before = flags()
    with fast_kernels("tf32", torch.device("cpu")):
        assert flags() == before


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("float32", torch.float32),
        ("tf32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_products_in_lower_precision(precision, dtype):
    with autocast(precision, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
