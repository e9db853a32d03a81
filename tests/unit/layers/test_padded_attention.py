"""Promises: zeros behind each head change neither attention nor its gradients, and are there on CUDA only."""

import pytest
import torch
import torch.nn.functional as F

from fedvsr_core.layers import padded_attention as module
from fedvsr_core.layers.padded_attention import padded, padded_attention


def parts(width):
    generator = torch.Generator().manual_seed(width)
    return [torch.randn(3, 2, 5, width, generator=generator, requires_grad=True) for _ in range(3)]


@pytest.mark.parametrize(
    ("width", "dtype", "whole"),
    [(20, torch.float32, 20), (30, torch.float32, 32), (20, torch.bfloat16, 24), (24, torch.float16, 24)],
)
def test_heads_are_continued_to_16_bytes(width, dtype, whole):
    part = torch.ones(1, 1, 2, width, dtype=dtype)
    continued = padded(part)
    assert continued.shape == (1, 1, 2, whole)
    assert continued[..., :width].all()
    assert not continued[..., width:].any()


def test_zeros_change_nothing():
    query, key, value = parts(30)
    added = torch.randn(2, 5, 5)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=0.3)
    continued = F.scaled_dot_product_attention(
        padded(query), padded(key), padded(value), attn_mask=added, scale=0.3
    )[..., :30]
    torch.testing.assert_close(continued, expected)
    of_ours, of_theirs = (
        torch.autograd.grad(out.square().sum(), (query, key, value)) for out in (continued, expected)
    )
    torch.testing.assert_close(of_ours, of_theirs)


def test_a_cpu_takes_heads_as_they_are(monkeypatch):
    monkeypatch.setattr(module, "padded", lambda part: pytest.fail("padded on a CPU"))
    query, key, value = parts(30)
    found = padded_attention(query, key, value, None, 0.3)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(query, key, value, scale=0.3))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_efficient_kernel_takes_every_width_on_a_gpu(dtype):
    query, key, value = (part.detach().to("cuda", dtype) for part in parts(30))
    expected = padded_attention(query.cpu().float(), key.cpu().float(), value.cpu().float(), None, 0.3)
    with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.EFFICIENT_ATTENTION]):
        found = padded_attention(query, key, value, None, 0.3)
    torch.testing.assert_close(
        found.cpu().float(), expected, rtol=0, atol=2e-2 if dtype.itemsize == 2 else 1e-5
    )
