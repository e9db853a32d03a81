"""Promises: tiles cover a frame, fade without a seam, and change nothing that its surroundings decide."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.inference.tiles import WHOLE, Tiling, restore_tiled


def nearest(low):
    return low.repeat_interleave(2, -1).repeat_interleave(2, -2)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 9))
def test_a_pixelwise_network_sees_no_difference(height, width, size, overlap):
    if size <= 2 * overlap:
        overlap = (size - 1) // 2
    low = torch.rand(1, 2, 3, height, width, generator=torch.Generator().manual_seed(0))
    tiled = restore_tiled(nearest, low, scale=2, tiling=Tiling(size, overlap))
    torch.testing.assert_close(tiled, nearest(low), rtol=0, atol=1e-6)


def test_a_network_that_looks_around_differs_only_in_the_overlap_and_little():
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(1, 1, 5, 5, generator=generator) / 10
    low = torch.rand(1, 1, 3, 50, 60, generator=generator)

    def blur(clip):
        planes = clip.flatten(0, 2)[:, None]
        return nearest(F.conv2d(planes, kernel, padding=2).view(clip.shape))

    whole, tiled = blur(low), restore_tiled(blur, low, scale=2, tiling=Tiling(24, 8))
    difference = (whole - tiled).abs()
    assert difference.max() < 0.2 * whole.abs().max()
    # Tiles start at 0, 16, 26 in height: in rows 10..15 the first one is alone and sees all it needs.
    assert difference[..., 20:28, :20].max() < 1e-6
    # Two low pixels of a tile's edge are wrong; there its weight is at most 4/17.
    assert difference.max() <= 4 / 17 * (restore_alone(blur, low, 24) - whole).abs().max() + 1e-6


def restore_alone(restore, low, size):
    """Tiles without overlap: as bad as it gets."""
    return restore_tiled(restore, low, scale=2, tiling=Tiling(size, 0))


@pytest.mark.parametrize("tiling", [WHOLE, Tiling(60)])
def test_a_frame_that_fits_is_not_cut(tiling):
    seen = []
    low = torch.rand(1, 1, 3, 40, 60)
    restore_tiled(lambda clip: seen.append(clip.shape) or nearest(clip), low, scale=2, tiling=tiling)
    assert seen == [low.shape]


@pytest.mark.parametrize(("size", "overlap"), [(16, 8), (0, 0), (10, -1)])
def test_refuses(size, overlap):
    with pytest.raises(ConfigurationError, match="a tile must be larger than two overlaps, got tile"):
        Tiling(size, overlap)


def test_a_whole_frame_stays_where_it_was_restored():
    low = torch.zeros(1, 2, 3, 4, 5)
    assert (
        restore_tiled(lambda clip: nearest(clip).to("meta"), low, scale=2, tiling=WHOLE).device.type == "meta"
    )
