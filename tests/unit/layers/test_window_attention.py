"""Promises: the published attention, in a fused kernel or written out; the bias is gathered once."""

import pytest
import torch

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.window_attention import WindowAttention
from tests.unit.golden import assert_golden

CASES = {
    0: {"width": 16, "window": (2, 4, 4), "heads": 2, "mutual": True},
    1: {"width": 24, "window": (4, 4, 4), "heads": 3, "mutual": False},
    2: {"width": 16, "window": (1, 3, 5), "heads": 4, "mutual": False},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("gradient", [True, False])
def test_equals_golden(golden_module, case, gradient):
    attention = WindowAttention(**CASES[case])
    tensors = golden_module(attention, f"vrt_window_attention_{case}")
    with torch.set_grad_enabled(gradient):
        for name, mask in (("out_unmasked", None), ("out_masked", tensors["mask"].float())):
            assert_golden(attention(tensors["x"], mask), tensors, name, atol=2e-6)


def written_out(attention, x, mask):
    """Self attention without a kernel: logits, bias and mask as matrices."""
    groups, tokens, width = x.shape
    query, key, value = (
        part.view(groups, tokens, attention.heads, -1).transpose(1, 2)
        for part in attention.qkv_self(x).split(width, dim=-1)
    )
    logits = query @ key.mT / (width / attention.heads) ** 0.5
    logits = logits + attention.relative_position_bias_table[attention.relative_position_index].movedim(-1, 0)
    logits = logits + mask.repeat(groups // len(mask), 1, 1)[:, None]
    return attention.proj((logits.softmax(-1) @ value).transpose(1, 2).flatten(2))


def test_the_fused_kernel_has_the_gradients_of_the_formula():
    torch.manual_seed(0)
    attention = WindowAttention(width=8, window=(2, 2, 2), heads=2, mutual=False).double()
    x = torch.randn(6, 8, 8, dtype=torch.float64, requires_grad=True)
    mask = -100.0 * (torch.rand(3, 8, 8, dtype=torch.float64) < 0.3)
    values = [attention(x, mask), written_out(attention, x, mask)]
    torch.testing.assert_close(*values, rtol=0, atol=1e-12)
    inputs = [x, *attention.parameters()]
    gradients = [torch.autograd.grad(value.square().sum(), inputs) for value in values]
    for ours, formula in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, formula, rtol=0, atol=1e-10)


def test_the_bias_is_gather_bias_once_for_weights_that_stay(monkeypatch):
    attention = WindowAttention(width=8, window=(1, 2, 2), heads=2, mutual=False)
    x, calls, gathered = torch.randn(1, 4, 8), [], attention._gather_bias
    monkeypatch.setattr(attention, "_gather_bias", lambda tokens: calls.append(tokens) or gathered(tokens))
    with torch.no_grad():
        before = attention(x)
        attention(x)
        assert len(calls) == 1
        attention.relative_position_bias_table.add_(torch.randn(9, 2))
        assert not torch.equal(attention(x), before)
    assert len(calls) == 2


def test_frames_look_at_each_other():
    # Without the branch in which the window looks at itself, a frame's slots depend on the other frame's
    # queries and on its own keys and values; constant values of a frame come back as they are.
    attention = WindowAttention(width=4, window=(2, 1, 1), heads=1, mutual=True).requires_grad_(False)
    attention.qkv_mut.weight.zero_()
    attention.qkv_mut.weight[8:].copy_(torch.eye(4))  # values are the tokens, less their position
    attention.qkv_mut.bias[8:] = -attention.position_bias[0, 0]
    attention.qkv_mut.bias[:8].zero_()
    attention.proj.weight.copy_(torch.cat([torch.eye(4), torch.zeros(4, 4)], dim=1))
    attention.proj.bias.zero_()
    x = torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8]]])
    torch.testing.assert_close(attention(x), x)


def test_a_width_that_heads_do_not_divide():
    with pytest.raises(
        ConfigurationError, match=r"^the width of attention must be a multiple of its heads, 3, got 8$"
    ):
        WindowAttention(width=8, window=(1, 2, 2), heads=3, mutual=False)
    with pytest.raises(ConfigurationError, match=r"heads, 2, and of 4 for mutual attention, got 6$"):
        WindowAttention(width=6, window=(2, 2, 2), heads=2, mutual=True)
