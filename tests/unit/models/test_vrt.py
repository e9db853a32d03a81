"""Promises: VRT as published, in values, gradients, names and numbers of parameters; its other heads too."""

import json

import pytest
import torch

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.models.vrt import VRT
from server_app.config import compose
from tests.unit.golden import GOLDEN, assert_golden, assert_golden_gradients, golden_network

SMALL = {
    "img_size": (4, 32, 32),
    "window_size": (4, 4, 4),
    "depths": (2,) * 8,
    "embed_dims": (8,) * 8,
    "num_heads": (2,) * 8,
    "indep_reconsts": (),
    "deformable_groups": 2,
}


@pytest.mark.parametrize(
    ("name", "flow_network"), [("vrt_b", None), pytest.param("vrt_a", "spynet_f16", marks=pytest.mark.slow)]
)
def test_equals_golden(name, flow_network):
    network, tensors, about = golden_network(VRT, name, flow_network)
    high = network(tensors["input"])
    assert_golden(high, tensors, "output", atol=about["tolerance"])
    assert_golden_gradients(network, high, about, loss_rtol=1e-5)


@pytest.mark.parametrize("name", ["vrt", "vrt_16"])
def test_names_shapes_and_parameters_are_as_published(name):
    keys = json.loads((GOLDEN / f"{name}_keys.json").read_text())
    network = build(compose({"model": name}).model)
    assert [[key, list(one.shape)] for key, one in network.state_dict().items()] == keys["state_dict"]
    assert sum(one.numel() for one in network.parameters()) == keys["parameters"]


@pytest.mark.parametrize(
    ("step", "inputs", "width", "name"), [(1, 16, 24, "down"), (0, 16, 16, "none"), (-1, 32, 12, "up")]
)
def test_a_stage_equals_golden(golden_module, step, inputs, width, name):
    stage = _stage(step, inputs, width)
    tensors = golden_module(stage, f"vrt_stage_{name}")
    x = tensors["x"].movedim(1, -1)
    assert_golden(stage.resample(x).movedim(-1, 1), tensors, "reshaped", atol=1e-5)
    assert_golden(stage(x, [], []).movedim(-1, 1), tensors, "out", atol=2e-5)


def _stage(step, inputs, width):
    from fedvsr_core.layers.attention_group import AttentionGroup
    from fedvsr_core.models.vrt import _Stage

    common = {"width": width, "window": (2, 4, 4), "heads": 2, "gated": True, "mlp_ratio": 2.0}
    return _Stage(
        inputs=inputs,
        step=step,
        width=width,
        mutual=AttentionGroup(**common, mutual=True, drops=[0.0] * 3),
        attention=AttentionGroup(**common, mutual=False, drops=[0.0]),
        warping=None,
    )


@pytest.mark.parametrize("pa_frames", [2, 4, 6])
def test_flows_over_several_frames_add_up_by_hand(pa_frames, monkeypatch):
    network = VRT(**{**SMALL, "pa_frames": pa_frames, "deformable_groups": 12, "embed_dims": (12,) * 8})

    def one_pixel(
        reference, supporting, levels
    ):  # to the right from later frames, to the left from earlier ones
        sign = 1.0 if torch.equal(reference, images[:, :-1].flatten(0, 1)) else -1.0
        return [torch.stack([torch.full((4, 8, 8), sign), torch.zeros(4, 8, 8)], dim=1) for _ in levels]

    monkeypatch.setattr(network.spynet, "at_levels", one_pixel)
    images = torch.rand(1, 5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for sign, flows in zip((1, -1), network._flows(images), strict=True):
        assert len(flows) == pa_frames // 2
        for distance, scales in enumerate(flows, start=1):
            assert len(scales) == 4
            for flow in scales:
                assert flow.shape == (1, 5 - distance, 2, 8, 8)
                torch.testing.assert_close(
                    flow[:, :, 0, :, 3:5], torch.full_like(flow[:, :, 0, :, 3:5], sign * distance)
                )
                assert not flow[:, :, 1].any()


def test_restoring_without_upscaling_starts_from_the_input():
    torch.manual_seed(0)
    network = VRT(**SMALL, upscale=1, nonblind_denoising=True).eval()
    with torch.no_grad():
        network.conv_last.weight.zero_()
        network.conv_last.bias.zero_()
        low = torch.rand(1, 2, 4, 32, 32)
        assert torch.equal(network(low), low[:, :, :3])
    with pytest.raises(
        ShapeError, match=r"^a clip must have shape \(B, T, 4, H, W\), got \(1, 2, 3, 32, 32\)$"
    ):
        network(low[:, :, :3])


def test_the_last_layers_are_dropped_most():
    network = VRT(**SMALL, drop_path_rate=0.15)
    first = [block.drop.p for block in network.stage1.residual_group1.blocks]
    second = [block.drop.p for block in network.stage1.residual_group2.blocks]
    assert first == second == [0]  # both groups of a stage count from its first layer
    assert network.stage8[1].residual_group.blocks[-1].drop.p == pytest.approx(0.15)


def test_layers_that_are_computed_again_by_place():
    network = VRT(
        **SMALL,
        use_checkpoint_attn=True,
        use_checkpoint_ffn=True,
        no_checkpoint_attn_blocks=[1],
        no_checkpoint_ffn_blocks=[7],
    )

    def flags(part):
        block = part.blocks[0]
        return block.checkpoint_attention, block.checkpoint_mlp

    assert flags(network.stage1.residual_group1) == (True, True)
    assert flags(network.stage2.residual_group1) == (False, True)
    assert flags(network.stage8[1].residual_group) == (True, False)
    assert not network.checkpointing
    network.checkpointing = True
    assert network.checkpointing
    assert flags(network.stage2.residual_group1) == (True, True)


def test_tables_do_not_travel():
    network = VRT(**SMALL)
    assert "spynet.mean" in network.constants
    assert "stage1.residual_group1.blocks.0.attn.position_bias" in network.constants
    learned = {
        name for name, one in network.state_dict().items() if one.is_floating_point()
    } - network.constants
    assert learned == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"depths": (2,) * 9},
            r"^depths, embed_dims and num_heads must have one length above 7, got 9, 8 and 8$",
        ),
        ({"embed_dims": (8, 8, 8, 8, 12, 8, 8, 8)}, r"^embed_dims must be equal at stages 1 and 7"),
        ({"pa_frames": 3}, r"^pa_frames must be 0, 2, 4 or 6, got 3$"),
        ({"pa_frames": 0}, r"^without flow \(pa_frames 0\), upscale must be 1, got 4$"),
    ],
)
def test_arguments_that_contradict_each_other(changes, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        VRT(**{**SMALL, **changes})


def test_frames_between_others_come_from_as_many_as_configured():
    network = VRT(**SMALL, upscale=1, pa_frames=0).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 4, 3, 32, 32)).shape == (1, 1, 3, 32, 32)
    with pytest.raises(ShapeError, match=r"^without flow, clips must have the 4 frames of img_size, got 5$"):
        network(torch.rand(1, 5, 3, 32, 32))
