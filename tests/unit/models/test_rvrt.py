"""Promises: RVRT as published, in values, gradients, names and numbers of parameters; its other head too."""

import json

import pytest
import torch

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.layers.spynet import neighbour_flows
from fedvsr_core.models.rvrt import RVRT, FeatureBlock, _guides
from server_app.config import compose
from tests.unit.golden import GOLDEN, assert_golden, assert_golden_gradients, golden_network

SMALL = {
    "window_size": (2, 4, 4),
    "num_blocks": (1, 1, 1),
    "embed_dims": (8, 8, 8),
    "num_heads": (2, 2, 2),
    "deformable_groups": 2,
    "attention_heads": 2,
}


def test_equals_golden():
    network, tensors, about = golden_network(RVRT, "rvrt_a", "spynet_f16")
    high = network(tensors["input"])
    assert_golden(high, tensors, "output", atol=about["tolerance"])
    assert_golden_gradients(network, high, about, loss_rtol=1e-5)


def test_names_shapes_and_parameters_are_as_published():
    keys = json.loads((GOLDEN / "rvrt_keys.json").read_text())
    network = build(compose({"model": "rvrt"}).model)
    assert [[key, list(one.shape)] for key, one in network.state_dict().items()] == keys["state_dict"]
    assert sum(one.numel() for one in network.parameters()) == keys["parameters"]


def test_a_feature_block_equals_golden(golden_module):
    block = FeatureBlock(
        inputs=12, conv_groups=2, width=16, num_blocks=2, depth=2, heads=2, window=(2, 4, 4), mlp_ratio=2.0
    )
    tensors = golden_module(block, "rvrt_rstb")
    found = block(tensors["x"].movedim(2, -1)).movedim(-1, 2)
    assert_golden(found, tensors, "out", atol=1e-5)


def test_flows_to_the_clip_before_by_hand():
    # Every frame moves one pixel to the right: two frames back, and crossed, one and three.
    flows = torch.tensor([-1.0, 0.0]).view(1, 1, 2, 1, 1).expand(1, 5, 2, 4, 12)
    guides = _guides(flows)
    assert len(guides) == 2
    for straight, crossed in guides:
        assert straight[0, :, 0, 1, 6].tolist() == [-2, -2]
        assert crossed[0, :, 0, 1, 6].tolist() == [-1, -3]


def test_a_backward_branch_is_a_forward_branch_of_the_clip_turned_around():
    torch.manual_seed(0)
    network = RVRT(**SMALL).double().eval()
    for parts in (network.backbone, network.deform_align):
        parts["forward_1"] = parts["backward_1"]
    low = torch.rand(1, 6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        backward, _ = neighbour_flows(network.spynet, low)
        _, forward = neighbour_flows(network.spynet, low.flip(1))
        shallow, turned = (
            {"shallow": list(network._shallow(clip).split(2, dim=1))} for clip in (low, low.flip(1))
        )
        ours = network._propagate("backward_1", shallow, _guides(backward.flip(1)))
        theirs = network._propagate("forward_1", turned, _guides(forward))
    torch.testing.assert_close(torch.cat(ours, 1), torch.cat(theirs, 1).flip(1), rtol=0, atol=1e-10)
    assert not torch.equal(ours[0], ours[1])


def test_long_clips_wait_elsewhere_and_come_out_the_same():
    torch.manual_seed(0)
    network, low = RVRT(**SMALL).eval(), torch.rand(1, 6, 3, 16, 16)
    with torch.no_grad():
        before = network(low)
        network.cpu_cache_length = 4
        assert torch.equal(network(low), before)


def test_restoring_without_upscaling_starts_from_the_input():
    torch.manual_seed(0)
    network = RVRT(**SMALL, upscale=1, nonblind_denoising=True).eval()
    with torch.no_grad():
        network.conv_last.weight.zero_()
        network.conv_last.bias.zero_()
        low = torch.rand(1, 3, 4, 18, 20)  # padded to 4 frames of 20 x 20
        assert torch.equal(network(low), low[:, :, :3])


def test_the_networks_tables_start_as_published():
    network = RVRT(**SMALL)
    state = network.state_dict()
    zero = {key for key, one in state.items() if not one.any()}
    for branch in ("backward_1", "forward_2"):
        assert f"deform_align.{branch}.conv_offset.10.weight" in zero
        table = f"backbone.{branch}.main.5.0.residual_group.blocks.0.attn.relative_position_bias_table"
        assert table in zero
    assert network.constants == {"spynet.mean", "spynet.std"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"upscale": 5}, r"^upscale must be 1, 3 or a power of 2, got 5$"),
        ({"clip_size": 3}, r"^clip_size must be 2, got 3$"),
        ({"embed_dims": (8, 12, 8)}, r"^the first two of embed_dims must be equal, got \[8, 12, 8\]$"),
        ({"inputconv_groups": (1,) * 5}, r"^inputconv_groups must have six entries, got \[1, 1, 1, 1, 1\]$"),
        ({"nonblind_denoising": True}, r"^nonblind_denoising must go with upscale 1, got 4$"),
    ],
)
def test_arguments_that_contradict_each_other(changes, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        RVRT(**{**SMALL, **changes})
