"""Promises: BasicVSR++ upscales or keeps the size, long clips too; its numbers are in test_published."""

import pytest
import torch

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.models.basicvsrpp import BasicVSRPlusPlus
from fedvsr_core.models.contract import SizeNeeds

SMALL = {"mid_channels": 8, "num_blocks": 1}


def test_size_needs():
    assert (BasicVSRPlusPlus(**SMALL).scale, BasicVSRPlusPlus(**SMALL).needs) == (4, SizeNeeds())
    same = BasicVSRPlusPlus(**SMALL, is_low_res_input=False)
    assert (same.scale, same.needs) == (1, SizeNeeds(multiple=4))


def test_same_size_at_a_size_that_is_no_multiple_of_four():
    low = torch.rand(1, 2, 3, 61, 66, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert BasicVSRPlusPlus(**SMALL, is_low_res_input=False)(low).shape == low.shape


def test_a_cache_on_the_cpu_changes_nothing():
    torch.manual_seed(0)
    model, low = BasicVSRPlusPlus(**SMALL).eval(), torch.rand(1, 3, 3, 16, 16)
    with torch.no_grad():
        before = model(low)
        model.cpu_cache_length = 2
        torch.testing.assert_close(model(low), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("width", [4, 12, 0])
def test_widths_that_sixteen_groups_do_not_divide(width):
    with pytest.raises(ConfigurationError, match=f"^mid_channels must be a multiple of 8, got {width}$"):
        BasicVSRPlusPlus(mid_channels=width, num_blocks=1)


@pytest.mark.parametrize("argument", ["num_blocks", "max_residue_magnitude", "cpu_cache_length"])
def test_numbers_that_must_be_positive(argument):
    with pytest.raises(
        ConfigurationError, match=r"^num_blocks, max_residue_magnitude and cpu_cache_length must"
    ):
        BasicVSRPlusPlus(**{**SMALL, argument: 0})
