"""Promises: the published stack of layers at any size; layers computed again give the same."""

import pytest
import torch

from fedvsr_core.layers.attention_group import AttentionGroup
from tests.unit.golden import assert_golden

CASES = [
    {"width": 16, "window": (2, 4, 4), "heads": 2, "mutual": True},
    {"width": 24, "window": (4, 4, 4), "heads": 3, "mutual": False},
    {"width": 16, "window": (6, 4, 4), "heads": 2, "mutual": False},
    {"width": 16, "window": (1, 8, 8), "heads": 2, "mutual": False},
]


def group(drops=(0.0, 0.0), **case):
    return AttentionGroup(**case, gated=True, mlp_ratio=2.0, drops=drops)


@pytest.mark.parametrize("case", range(4))
def test_equals_golden(golden_module, case):
    layers = group(**CASES[case])
    tensors = golden_module(layers, f"vrt_tmsag_{case}")
    found = layers(tensors["x"].movedim(1, -1)).movedim(-1, 1)
    assert_golden(found, tensors, "out", atol=2e-5)


@pytest.mark.parametrize("halves", [(True, False), (False, True), (True, True)], ids=str)
def test_computing_again_changes_nothing_but_what_is_kept(halves):
    torch.manual_seed(0)
    layers, x = group(drops=(0.3, 0.3), **CASES[0]).train(), torch.randn(3, 3, 5, 6, 16)
    found = []
    for attention, mlp in ((False, False), halves):
        for block in layers.blocks:
            block.checkpoint_attention, block.checkpoint_mlp = attention, mlp
        kept = []
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda one, kept=kept: kept.append(one.numel()) or one, lambda one: one
        ):
            loss = layers(x).square().sum()
        found.append((torch.autograd.grad(loss, list(layers.parameters())), sum(kept)))
    for plain, again in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(plain, again, rtol=1e-4, atol=1e-4)
    assert found[1][1] < 0.9 * found[0][1]


def test_branches_are_dropped_clip_by_clip_in_training_only():
    torch.manual_seed(0)
    layers, x = group(drops=(1.0,), **CASES[0]), torch.randn(2, 2, 4, 4, 16)
    assert torch.equal(layers.train()(x), x)
    assert not torch.equal(layers.eval()(x), x)
