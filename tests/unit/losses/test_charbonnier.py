"""Promises: the paper's formula, in float32 at least, with its floor at equality."""

import pytest
import torch

from fedvsr_core.errors import ShapeError
from fedvsr_core.losses.charbonnier import Charbonnier


def test_by_hand():
    # differences 3 and 0 with eps 16: sqrt(9 + 16) = 5 and sqrt(16) = 4; their mean is 4.5
    assert Charbonnier(eps=16.0)(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0])).item() == 4.5


def test_floor_at_equality():
    x = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    assert Charbonnier()(x, x).item() == pytest.approx(1e-9**0.5, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_smoothing(dtype):
    x = torch.ones(4, dtype=dtype)
    loss = Charbonnier()(x, x)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1e-9**0.5, rel=1e-6)


def test_gradient():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: Charbonnier(eps=1e-3)(x, torch.zeros_like(x)), x)


def test_refuses_unequal_shapes():
    with pytest.raises(ShapeError, match=r"equal shapes, got \(2, 1\) and \(2,\)"):
        Charbonnier()(torch.zeros(2, 1), torch.zeros(2))
