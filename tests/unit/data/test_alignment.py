"""Promises: a shift between resolutions is told to a tenth of a pixel, and what nobody can use is refused."""

import math

import numpy as np
import pytest

from fedvsr_core.data.alignment import Alignment, align
from fedvsr_core.errors import DataError
from tests.videos import seen, texture

CLIP, OTHER = (texture(3, 96, 128, seed) for seed in (1, 2))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(("right", "down"), [(0, 0), (0.3, 0), (2, -1), (-6, 3)])
def test_a_known_shift(right, down, scale):
    alignment = align(CLIP, seen(CLIP, scale, right, down))
    assert alignment.right == pytest.approx(right, abs=0.3)
    assert alignment.down == pytest.approx(down, abs=0.3)
    assert alignment.likeness > 0.9


@pytest.mark.parametrize(
    ("right", "notes"),
    [
        (0, []),
        (0.3, []),
        (2, ["its low-resolution frames are shifted by 2."]),
    ],
)
def test_what_is_said_of_it(right, notes):
    said = align(CLIP, seen(CLIP, 4, right)).check("a")
    assert len(said) == len(notes)
    assert all(sentence.startswith(note) for sentence, note in zip(said, notes, strict=True))


def test_too_far():
    with pytest.raises(DataError, match=r"^the low-resolution frames of clip 'a' are shifted by 6\.\d high"):
        align(CLIP, seen(CLIP, 4, 6)).check("a")


def test_another_scene():
    with pytest.raises(DataError, match=r"^the low- and high-resolution frames of clip 'a' show different"):
        align(CLIP, seen(OTHER, 4)).check("a")


def test_other_colours():
    (note,) = align(CLIP, seen(CLIP, 4) // 2 + 80).check("a")
    assert note.startswith("the means of a channel differ by ")


def test_nothing_to_be_seen():
    flat = np.full((2, 64, 64, 3), 100, np.uint8)
    alignment = align(flat, seen(flat, 4))
    assert math.isnan(alignment.likeness)
    assert alignment.check("a") == []


def test_frames_that_show_something_decide():
    mixed = np.concatenate([np.zeros_like(CLIP[:1]), CLIP[1:]])
    assert align(mixed, seen(mixed, 4)).likeness > 0.95


def test_for_a_person():
    assert str(Alignment(0.31, -2.0, 0.987, 1.26)) == (
        "low resolution lies +0.3 pixels to the right and -2.0 down of high resolution, correlation 0.99,"
        " colours 1.3 of 255 apart"
    )
