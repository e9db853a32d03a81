"""Promises: the window attention of the published networks, shifted or not, at sizes no window divides."""

import pytest
import torch

from fedvsr_core.layers.shifted_windows import ShiftedWindowBlock, WindowAttention, mask_of
from tests.unit.golden import assert_golden

CASES = {
    "a": {"width": 24, "heads": 3, "window": (3, 4, 4), "size": (3, 10, 13)},
    "b": {"width": 16, "heads": 2, "window": (2, 5, 4), "size": (3, 11, 9)},
}


@pytest.fixture(params=CASES)
def case(request, golden_tensors):
    tensors = golden_tensors("component_window_attention")
    return CASES[request.param], {n[2:]: one for n, one in tensors.items() if n.startswith(request.param)}


def weights(tensors, prefix):
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}


def test_masks_equal_golden(case):
    sizes, tensors = case
    assert torch.equal(mask_of(sizes["size"], sizes["window"], torch.device("cpu")), tensors["mask"].float())


@pytest.mark.parametrize("masked", [True, False])
def test_attention_equals_golden(case, masked):
    sizes, tensors = case
    attention = WindowAttention(sizes["width"], sizes["heads"], sizes["window"])
    state = weights(tensors, "attn.sd.")
    index = attention.relative_position_index
    assert torch.equal(index, state["relative_position_index"])
    attention.load_state_dict(state)
    found = attention(tensors["attn_in"], tensors["mask"].float() if masked else None)
    assert_golden(found, tensors, "attn_out_masked" if masked else "attn_out_nomask", atol=2e-5)


@pytest.mark.parametrize("shifted", [True, False])
def test_blocks_equal_golden(case, shifted):
    sizes, tensors = case
    block = ShiftedWindowBlock(
        sizes["width"], sizes["heads"], sizes["window"], shifted=shifted, drop_path=0.5
    ).eval()
    block.load_state_dict(weights(tensors, "block.sd."))
    found = block(tensors["block_in"], tensors["mask"].float())
    assert_golden(found, tensors, "block_out_shift" if shifted else "block_out_noshift", atol=2e-5)


def test_paths_are_dropped_for_whole_clips_and_the_others_scaled():
    torch.manual_seed(0)
    block, x = ShiftedWindowBlock(4, 1, (1, 2, 2), shifted=False, drop_path=0.5), torch.rand(64, 1, 2, 2, 4)
    with torch.no_grad():
        block.mlp.fc2.weight.zero_()
        block.mlp.fc2.bias.zero_()
        whole = block.eval()(x, None) - x
        change = block.train()(x, None) - x
    kept = change.flatten(1).any(dim=1)
    assert 16 < kept.sum() < 48
    torch.testing.assert_close(change[kept], 2 * whole[kept])
