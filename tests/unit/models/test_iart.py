"""Promises: IART takes published configurations and refuses others; its numbers are in test_published."""

import pytest
import torch

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.models.iart import IART, _Backbone
from tests.unit.golden import assert_golden

SMALL = {"mid_channels": 8, "embed_dim": 16, "depths": [1], "num_heads": [2], "window_size": (3, 4, 4)}


def test_a_backbone_equals_golden(golden_tensors):
    tensors = golden_tensors("component_iart_backbone")
    backbone = _Backbone(16, [2, 2], [2, 4], (3, 4, 4)).eval()
    backbone.load_state_dict(
        {n.removeprefix("sd."): one for n, one in tensors.items() if n.startswith("sd.")}
    )
    found = backbone(tensors["x"], lambda part, *inputs: part(*inputs))
    assert_golden(found, tensors, "out", atol=5e-5)


def test_a_cache_on_the_cpu_changes_nothing():
    torch.manual_seed(0)
    model, low = IART(**SMALL).eval(), torch.rand(1, 3, 3, 16, 16)
    with torch.no_grad():
        before = model(low)
        model.cpu_cache_length = 2
        torch.testing.assert_close(model(low), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"in_channels": 4}, "in_channels must be 3, as in the published network, got 4"),
        ({"num_frames": 5}, "num_frames must be 3"),
        ({"patch_size": 2}, "patch_size must be 1"),
        ({"is_low_res_input": False}, "is_low_res_input must be True"),
        ({"mid_channels": 0}, "mid_channels must be positive"),
        ({"depths": []}, r"got 8, \[\] and \[2\]"),
        ({"depths": [1, 1]}, r"got 8, \[1, 1\] and \[2\]"),
        ({"embed_dim": 64}, r"multiple of 4 and of num_heads \[2\], but not 64, .* got 64"),
        ({"embed_dim": 18}, "got 18"),
        ({"num_heads": [3]}, r"num_heads \[3\], .* got 16"),
        ({"window_size": [8, 8]}, r"window_size must be three positive numbers, got \[8, 8\]"),
        ({"window_size": [3, 0, 8]}, "window_size must be three positive numbers"),
    ],
    ids=str,
)
def test_what_it_cannot_be(changed, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        IART(**{**SMALL, **changed})
