"""Promises: whole frames where memory allows, else tiles; less memory never means larger ones."""

import pytest
import torch

from fedvsr.inference.memory_fit import CHUNK, Need
from fedvsr_core.inference.tiles import WHOLE
from fedvsr_core.models.recurrent import Recurrent

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def need():
    return Need(Recurrent(width=4, blocks=1, scale=4).eval(), CPU)


def test_much_memory_takes_whole_frames(need):
    assert need.fit(120, 160, free=2**40).tiling == WHOLE
    assert need.fit(120, 160, free=2**40).chunk == CHUNK


def test_frames_as_small_as_what_was_measured_are_not_cut(need):
    assert need.fit(64, 64, free=1).tiling == WHOLE


def test_less_memory_takes_smaller_tiles_then_fewer_frames(need):
    sizes = [need.fit(2160, 3840, free=free) for free in (2**26, 2**30, 2**35, 2**50)]
    assert sizes[-1].tiling == WHOLE
    assert [fit.chunk for fit in sizes] == sorted(fit.chunk for fit in sizes)
    assert all(fit.tiling.size is not None and fit.tiling.size > 2 * 16 for fit in sizes[:2])


@pytest.mark.parametrize("chunk", [1, 5])
def test_the_number_of_frames_that_is_asked_for_stays(need, chunk):
    assert need.fit(1080, 1920, chunk=chunk, free=2**27).chunk == chunk


def test_a_second_video_is_fitted_as_the_first(need):
    # Between them, the process has taken the memory of whole frames, which it may keep.
    first = need.fit(1080, 1920, free=2**31)
    with torch.inference_mode():
        need._model(torch.zeros(1, CHUNK, 3, 96, 128))
    assert need.fit(1080, 1920, free=2**31) == first
    assert first.tiling != WHOLE
