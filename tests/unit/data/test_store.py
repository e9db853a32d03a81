"""Promises: a clip store gives back what went in, cut and degraded, and is completed, not made anew."""

import json

import numpy as np
import pytest

from fedvsr.data import prepare as preparing
from fedvsr.data.prepare import Preparation, prepare
from fedvsr.data.shot_changes import NearDuplicates, ShotChanges
from fedvsr_core.components import build
from fedvsr_core.data.clips import ALL
from fedvsr_core.data.degradation import Bicubic, GaussianBlur, bicubic_down
from fedvsr_core.data.frames import VideoFrames
from fedvsr_core.data.shots import Shot
from fedvsr_core.data.store import ClipStore, is_store
from fedvsr_core.errors import DataError

BI = {"_target_": "fedvsr_core.data.degradation.Bicubic", "scale": 4}
RNG = np.random.default_rng(0)
DARK, BRIGHT = (RNG.integers(*bounds, (24, 32, 3), dtype=np.uint8) for bounds in ((0, 60), (190, 255)))
TWO_SHOTS = np.stack([DARK] * 4 + [BRIGHT] * 5)


def how(**changed):
    defaults = {
        "scale": 4,
        "degradation": BI,
        "shot_threshold": None,
        "duplicate_threshold": 0.0,
        "min_frames": 1,
    }
    return Preparation(**defaults | changed)


def fill(folder, *shots, held_out=(), workers=1, **changed):
    wanted = [(shot, False) for shot in shots] + [(shot, True) for shot in held_out]
    return list(prepare(wanted, folder, how(**changed), workers=workers))


def test_what_goes_in_comes_out(tmp_path, noise):
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


def test_crops_are_views_of_the_file(tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    (shot,) = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    assert np.shares_memory(shot.high[1:3, 2:9, :], shot.high[ALL])
    with pytest.raises(ValueError, match="read-only"):
        shot.high[ALL][0] = 0


def test_it_is_cut_at_shot_changes(tmp_path):
    (prepared,) = fill(tmp_path / "s", Shot("a", TWO_SHOTS), shot_threshold=27.0)
    assert (prepared.shots, prepared.left_out) == ([4, 5], 0)
    first, second = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    assert (first.name, second.name) == ("a[0:4]", "a[4:9]")
    np.testing.assert_array_equal(second.high[ALL], TWO_SHOTS[4:])
    np.testing.assert_array_equal(second.low[ALL], bicubic_down(TWO_SHOTS[4:]))


def test_short_shots_and_near_duplicates_are_left_out(tmp_path):
    (prepared,) = fill(tmp_path / "a", Shot("a", TWO_SHOTS), shot_threshold=27.0, min_frames=5)
    assert (prepared.shots, prepared.left_out) == ([5], 4)
    (prepared,) = fill(tmp_path / "b", Shot("a", TWO_SHOTS), duplicate_threshold=0.5)
    assert (prepared.shots, prepared.left_out) == ([2], 7)
    (shot,) = ClipStore(folder=str(tmp_path / "b"), scale=4).train()
    np.testing.assert_array_equal(shot.high[ALL], TWO_SHOTS[[0, 4]])


def test_given_low_frames_are_stored_as_they_are(tmp_path, noise):
    given = noise[:, ::4, ::4]
    fill(tmp_path / "s", Shot("a", noise, given))
    (shot,) = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    np.testing.assert_array_equal(shot.low[ALL], given)
    np.testing.assert_array_equal(shot.degraded(GaussianBlur(12, 4)).low[ALL], given)


def test_another_call_does_only_what_is_missing(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mkv", noise)
    shots = [Shot("a", VideoFrames(path, range(7), 24, 32)), Shot("b", noise)]
    assert [prepared.fresh for prepared in fill(tmp_path / "s", shots[0])] == [True]
    assert [prepared.fresh for prepared in fill(tmp_path / "s", *shots)] == [False, True]
    write_video(path, noise[::-1])
    assert [prepared.fresh for prepared in fill(tmp_path / "s", *shots)] == [True, False]
    assert [prepared.fresh for prepared in fill(tmp_path / "s", *shots, min_frames=2)] == [True, True]


def test_an_interruption_loses_only_what_it_was_at(tmp_path, noise, monkeypatch):
    shots = [Shot(name, noise) for name in "ab"]
    write = preparing._write_shots

    def interrupted(shot, *others):
        written = write(shot, *others)
        if shot.name == "b":
            raise KeyboardInterrupt
        return written

    monkeypatch.setattr(preparing, "_write_shots", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "s", *shots)
    assert [shot.name for shot in ClipStore(folder=str(tmp_path / "s"), scale=4).train()] == ["a"]
    monkeypatch.undo()
    assert [prepared.fresh for prepared in fill(tmp_path / "s", *shots)] == [False, True]
    assert not list((tmp_path / "s").glob(".*.part"))


def test_several_workers_make_the_same_store(tmp_path, noise):
    shots = [Shot(name, noise[: 2 + number]) for number, name in enumerate("abc")]
    fill(tmp_path / "one", *shots)
    fill(tmp_path / "two", *shots, workers=2)
    for path in (path for path in (tmp_path / "one").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_a_damaged_clip_is_named_and_the_others_are_done(tmp_path, noise, write_video):
    damaged = Shot("bad", VideoFrames(write_video(tmp_path / "a.mkv", noise), range(9), 24, 32))
    bad, good = fill(tmp_path / "s", damaged, Shot("good", noise))
    assert "expected 9 frames in" in bad.problem
    assert good.problem is None
    assert [shot.name for shot in ClipStore(folder=str(tmp_path / "s"), scale=4).train()] == ["good"]


def test_refuses_folders_that_are_something_else(tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    with pytest.raises(DataError, match=r"was prepared as .* not as .*; choose another folder"):
        fill(tmp_path / "s", Shot("a", noise), degradation=None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match=r"'.*other' isn't empty and no clip store"):
        fill(tmp_path / "other", Shot("a", noise))


def test_refuses_another_scale_and_damage(tmp_path, noise):
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


def test_no_path_of_the_source_is_kept(tmp_path, noise, write_video):
    path = write_video(tmp_path / "secret.mkv", noise)
    fill(tmp_path / "s", Shot("a", VideoFrames(path, range(7), 24, 32)))
    about = [json.loads(file.read_text()) for file in (tmp_path / "s").rglob("*.json")]
    assert len(about) == 2
    assert "secret" not in json.dumps(about)
    assert build(next(facts["degradation"] for facts in about if "degradation" in facts)) == Bicubic(4)


def test_shot_changes_of_the_sample_film(sample_film):
    changes = ShotChanges(threshold=27)
    beginnings = [number for number, frame in enumerate(sample_film) if changes.begins(frame)]
    assert beginnings == [30, 76, 137, 187, 242]  # as a person sees them


def test_near_duplicates_count_from_the_last_that_was_kept():
    drift = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(5)]
    duplicates = NearDuplicates(threshold=15)
    assert [duplicates.drops(frame) for frame in drift] == [False, True, False, True, False]
    keeps_all = NearDuplicates(threshold=0)
    assert not any(keeps_all.drops(drift[0]) for _ in range(3))


def test_clips_are_kept_in_the_order_of_the_source(tmp_path, noise):
    a, b = Shot("a", noise), Shot("b", noise)
    fill(tmp_path / "s", a, b)
    assert [prepared.fresh for prepared in fill(tmp_path / "s", b, a)] == [False, False]
    assert [shot.name for shot in ClipStore(folder=str(tmp_path / "s"), scale=4).train()] == ["b", "a"]


def test_refuses_a_store_of_another_version(tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    about = tmp_path / "s" / "clip-store.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "version": 99}))
    with pytest.raises(DataError, match="has version 99, expected 1; prepare another one"):
        ClipStore(folder=str(tmp_path / "s"), scale=4).train()


def test_a_store_that_lacks_an_entry_says_so(tmp_path, noise):
    fill(tmp_path / "store", Shot("a", noise))
    [clip] = (tmp_path / "store").glob("*/clip.json")
    facts = json.loads(clip.read_text())
    del facts["number"]
    clip.write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"damaged: KeyError\('number'\) is missing or wrong; prepare it"):
        ClipStore(folder=str(tmp_path / "store"), scale=4).train()
