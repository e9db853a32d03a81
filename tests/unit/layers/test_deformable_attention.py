"""Promises: the published attention with exact gradients, however it is cut, without large tensors."""

import math

import pytest
import torch

from fedvsr_core.errors import ShapeError
from fedvsr_core.layers.deformable_attention import deformable_attention
from tests.unit.golden import assert_golden

CASES = {  # batch, heads, kernel
    0: (2, 4, (3, 3)),
    1: (1, 2, (3, 3)),
    2: (1, 3, (3, 3)),
    3: (1, 3, (3, 3)),
    4: (1, 2, (5, 5)),
}


def random_case(batch=1, frames=2, channels=8, groups=4, size=(4, 5), taps=9, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.randn(batch, frames, *shape, *size, dtype=dtype, generator=generator).requires_grad_()

    return noise(channels), noise(2 * channels), noise(frames * groups * taps * 2)


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_golden(golden_tensors, case, chunk):
    batch, heads, kernel = CASES[case]
    tensors = golden_tensors("rvrt_deform_attn_op")

    def given(name, *shape):
        one = tensors[f"{case}.{name}"]
        return one.reshape(batch, 2, -1, *one.shape[-2:])

    inputs = [given(name).clone().requires_grad_() for name in ("q", "kv", "offset")]
    found = deformable_attention(*inputs, heads=heads, kernel=kernel, chunk=chunk)
    assert_golden(found, tensors, f"{case}.out", atol=2e-6)
    for name, gradient in zip(
        ("q", "kv", "offset"), torch.autograd.grad(found, inputs, given("grad_out")), strict=True
    ):
        assert_golden(gradient, tensors, f"{case}.grad_{name}", rtol=1e-4, atol=2e-5)


def test_gradients_are_those_of_finite_differences():
    query, key_value, offsets = random_case(channels=4, groups=2, size=(2, 3), taps=3)

    def attend(*inputs):
        return deformable_attention(*inputs, heads=2, kernel=(3, 1), chunk=2)

    assert torch.autograd.gradcheck(attend, (query, key_value, offsets), atol=1e-5)


def test_three_frames_by_loops():
    # Position by position, as the formula says; one group, one head, one tap: softmax over the three frames.
    query, key_value, offsets = (one.detach() for one in random_case(1, 3, 2, 1, (3, 4), 1))
    found = deformable_attention(query, key_value, offsets, heads=1, kernel=(1, 1))

    def sampled(image, y, x):
        total, (top, left) = 0, (math.floor(y), math.floor(x))
        for row in (top, top + 1):
            for column in (left, left + 1):
                if 0 <= row < 3 and 0 <= column < 4:
                    total = total + (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column]
        return total + torch.zeros(len(image), dtype=image.dtype)

    for frame in range(3):
        for y in range(3):
            for x in range(4):
                samples = torch.stack(
                    [
                        sampled(
                            key_value[0, (frame + turn) % 3],
                            y + offsets[0, frame, 2 * turn, y, x].item(),
                            x + offsets[0, frame, 2 * turn + 1, y, x].item(),
                        )
                        for turn in range(3)
                    ]
                )
                logits = samples[:, :2] @ query[0, frame, :, y, x] / math.sqrt(2)
                expected = logits.softmax(0) @ samples[:, 2:]
                torch.testing.assert_close(found[0, frame, :, y, x], expected)


def test_nothing_large_is_kept_for_the_gradient():
    query, key_value, offsets = random_case(channels=48, groups=2, size=(16, 16), dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        deformable_attention(query, key_value, offsets, heads=4, kernel=(3, 3))
    inputs = query.numel() + key_value.numel() + offsets.numel()
    samples = 2 * 9 * key_value.numel()  # of 2 frames by 9 taps
    assert sum(one.numel() for one in kept) < 2 * inputs < samples / 3


def test_half_precision_samples_in_single():
    case = random_case(dtype=torch.float32)
    exact = deformable_attention(*case, heads=2, kernel=(3, 3))
    rough = deformable_attention(case[0].bfloat16(), case[1].bfloat16(), case[2], heads=2, kernel=(3, 3))
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.02


def test_it_compiles_without_a_break():
    case = random_case(dtype=torch.float32)

    def attend(*inputs):
        return deformable_attention(*inputs, heads=2, kernel=(3, 3))

    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    ours, theirs = (
        [*torch.autograd.grad((value := way(*case)).square().sum(), case), value]
        for way in (attend, compiled)
    )
    for plain, traced in zip(ours, theirs, strict=True):
        torch.testing.assert_close(plain, traced, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("heads", {"heads": 3}),
        ("keys", {"key_value": torch.zeros(1, 2, 8, 4, 5)}),
        ("offsets", {"offsets": torch.zeros(1, 2, 17, 4, 5)}),
    ],
)
def test_shapes_that_do_not_fit(name, change):
    query, key_value, offsets = random_case()
    arguments = {"query": query, "key_value": key_value, "offsets": offsets, "heads": 2, "kernel": (3, 3)}
    with pytest.raises(ShapeError, match=r"^deformable attention with . heads and 9 taps needs queries"):
        deformable_attention(**{**arguments, **change})
