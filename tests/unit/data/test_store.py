"""Promises: a clip store gives back what went in, and says what is wrong with it."""

import json

import numpy as np
import pytest

from fedvsr_core.data.clips import ALL
from fedvsr_core.data.degradation import Bicubic, GaussianBlur, bicubic_down
from fedvsr_core.data.shots import Shot
from fedvsr_core.data.store import ClipStore, is_store
from fedvsr_core.errors import DataError


def test_what_goes_in_comes_out(fill, tmp_path, noise):
    fill(
        tmp_path / "s", Shot("x/b", noise, label="run"), Shot("a", noise[:3]), held_out=[Shot("c", noise[2:])]
    )
    assert is_store(tmp_path / "s")
    store = ClipStore(folder=str(tmp_path / "s"), scale=4)
    first, second = store.train()  # in the order they were given
    assert (first.name, first.label, second.name) == ("x/b", "run", "a")
    np.testing.assert_array_equal(first.high[ALL], noise)
    np.testing.assert_array_equal(first.high[2:5, 4:9, 7:8], noise[2:5, 4:9, 7:8])
    np.testing.assert_array_equal(first.low[ALL], bicubic_down(noise))
    assert first.degraded(Bicubic(4)) is first
    assert first.degraded(GaussianBlur(12, 4)) is not first
    assert [shot.name for shot in store.held_out()] == ["c"]


def test_crops_are_views_of_the_file(fill, tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    (shot,) = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    assert np.shares_memory(shot.high[1:3, 2:9, :], shot.high[ALL])
    with pytest.raises(ValueError, match="read-only"):
        shot.high[ALL][0] = 0


def test_given_low_frames_are_stored_as_they_are(fill, tmp_path, noise):
    given = noise[:, ::4, ::4]
    fill(tmp_path / "s", Shot("a", noise, given))
    (shot,) = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    np.testing.assert_array_equal(shot.low[ALL], given)
    np.testing.assert_array_equal(shot.degraded(GaussianBlur(12, 4)).low[ALL], given)


def test_refuses_another_scale_and_damage(fill, tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    with pytest.raises(DataError, match="was made for scale 4, but 2 is wanted"):
        ClipStore(folder=str(tmp_path / "s"), scale=2).train()
    (shot,) = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    shot.high.path.write_bytes(b"short")
    with pytest.raises(DataError, match=r"expected 16128 bytes in '.*0\.high\.u8' of a clip store"):
        shot.high[ALL]
    (tmp_path / "s" / "a" / "clip.json").write_text("{")
    with pytest.raises(DataError, match=r"clip\.json' can't be read as part of a clip store"):
        ClipStore(folder=str(tmp_path / "s"), scale=4).train()


def test_refuses_a_store_of_another_version(fill, tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    about = tmp_path / "s" / "clip-store.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "version": 99}))
    with pytest.raises(DataError, match="has version 99, expected 1; prepare another one"):
        ClipStore(folder=str(tmp_path / "s"), scale=4).train()


def test_a_store_that_lacks_an_entry_says_so(fill, tmp_path, noise):
    fill(tmp_path / "store", Shot("a", noise))
    [clip] = (tmp_path / "store").glob("*/clip.json")
    facts = json.loads(clip.read_text())
    del facts["number"]
    clip.write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"damaged: KeyError\('number'\) is missing or wrong; prepare it"):
        ClipStore(folder=str(tmp_path / "store"), scale=4).train()
