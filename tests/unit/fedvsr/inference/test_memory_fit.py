"""Promises: whole frames where memory allows, else tiles; less memory never means larger ones."""

import pytest
import torch

from fedvsr.inference.memory_fit import CHUNK, fit
from fedvsr_core.inference.tiles import WHOLE
from fedvsr_core.models.recurrent import Recurrent

MODEL = Recurrent(width=4, blocks=1, scale=4).eval()
CPU = torch.device("cpu")


def test_much_memory_takes_whole_frames():
    assert fit(MODEL, CPU, 120, 160, free=2**40).tiling == WHOLE
    assert fit(MODEL, CPU, 120, 160, free=2**40).chunk == CHUNK


def test_small_frames_are_not_measured():
    assert fit(None, CPU, 64, 64, free=1) == fit(MODEL, CPU, 64, 64)


def test_less_memory_takes_smaller_tiles_then_fewer_frames():
    sizes = [fit(MODEL, CPU, 2160, 3840, free=free) for free in (2**26, 2**30, 2**35, 2**50)]
    assert sizes[-1].tiling == WHOLE
    assert [one.chunk for one in sizes] == sorted(one.chunk for one in sizes)
    assert all(one.tiling.size is not None and one.tiling.size > 2 * 16 for one in sizes[:2])


@pytest.mark.parametrize("chunk", [1, 5])
def test_the_number_of_frames_that_is_asked_for_stays(chunk):
    assert fit(MODEL, CPU, 1080, 1920, chunk=chunk, free=2**27).chunk == chunk
