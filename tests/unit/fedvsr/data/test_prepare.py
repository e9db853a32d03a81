"""Promises: clips are cut and degraded into a store, which is completed and not made anew."""

import json

import numpy as np
import pytest

from fedvsr.data import prepare as preparing
from fedvsr_core.components import build
from fedvsr_core.data.clips import ALL
from fedvsr_core.data.degradation import Bicubic, bicubic_down
from fedvsr_core.data.frames import VideoFrames
from fedvsr_core.data.shots import Shot
from fedvsr_core.data.store import ClipStore
from fedvsr_core.errors import DataError

RNG = np.random.default_rng(0)
DARK, BRIGHT = (RNG.integers(*bounds, (24, 32, 3), dtype=np.uint8) for bounds in ((0, 60), (190, 255)))
TWO_SHOTS = np.stack([DARK] * 4 + [BRIGHT] * 5)


def test_it_is_cut_at_shot_changes(fill, tmp_path):
    (clip,) = fill(tmp_path / "s", Shot("a", TWO_SHOTS), shot_threshold=27.0)
    assert (clip.shots, clip.left_out) == ([4, 5], 0)
    first, second = ClipStore(folder=str(tmp_path / "s"), scale=4).train()
    assert (first.name, second.name) == ("a[0:4]", "a[4:9]")
    np.testing.assert_array_equal(second.high[ALL], TWO_SHOTS[4:])
    np.testing.assert_array_equal(second.low[ALL], bicubic_down(TWO_SHOTS[4:]))


def test_short_shots_and_near_duplicates_are_left_out(fill, tmp_path):
    (clip,) = fill(tmp_path / "a", Shot("a", TWO_SHOTS), shot_threshold=27.0, min_frames=5)
    assert (clip.shots, clip.left_out) == ([5], 4)
    (clip,) = fill(tmp_path / "b", Shot("a", TWO_SHOTS), duplicate_threshold=0.5)
    assert (clip.shots, clip.left_out) == ([2], 7)
    (shot,) = ClipStore(folder=str(tmp_path / "b"), scale=4).train()
    np.testing.assert_array_equal(shot.high[ALL], TWO_SHOTS[[0, 4]])


def test_another_call_does_only_what_is_missing(fill, tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mkv", noise)
    shots = [Shot("a", VideoFrames(path, range(7), 24, 32)), Shot("b", noise)]
    assert [clip.fresh for clip in fill(tmp_path / "s", shots[0])] == [True]
    assert [clip.fresh for clip in fill(tmp_path / "s", *shots)] == [False, True]
    write_video(path, noise[::-1])
    assert [clip.fresh for clip in fill(tmp_path / "s", *shots)] == [True, False]
    assert [clip.fresh for clip in fill(tmp_path / "s", *shots, min_frames=2)] == [True, True]


def test_an_interruption_loses_only_what_it_was_at(fill, tmp_path, noise, monkeypatch):
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
    assert [clip.fresh for clip in fill(tmp_path / "s", *shots)] == [False, True]
    assert not list((tmp_path / "s").glob(".*.part"))


def test_several_workers_make_the_same_store(fill, tmp_path, noise):
    shots = [Shot(name, noise[: 2 + number]) for number, name in enumerate("abc")]
    fill(tmp_path / "clip", *shots)
    fill(tmp_path / "two", *shots, workers=2)
    for path in (path for path in (tmp_path / "clip").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "clip")).read_bytes()


def test_a_damaged_clip_is_named_and_the_others_are_done(fill, tmp_path, noise, write_video):
    damaged = Shot("bad", VideoFrames(write_video(tmp_path / "a.mkv", noise), range(9), 24, 32))
    bad, good = fill(tmp_path / "s", damaged, Shot("good", noise))
    assert "expected 9 frames in" in bad.problem
    assert good.problem is None
    assert [shot.name for shot in ClipStore(folder=str(tmp_path / "s"), scale=4).train()] == ["good"]


def test_refuses_folders_that_are_something_else(fill, tmp_path, noise):
    fill(tmp_path / "s", Shot("a", noise))
    with pytest.raises(DataError, match=r"was prepared as .* not as .*; choose another folder"):
        fill(tmp_path / "s", Shot("a", noise), degradation=None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match=r"'.*other' isn't empty and no clip store"):
        fill(tmp_path / "other", Shot("a", noise))


def test_no_path_of_the_source_is_kept(fill, tmp_path, noise, write_video):
    path = write_video(tmp_path / "secret.mkv", noise)
    fill(tmp_path / "s", Shot("a", VideoFrames(path, range(7), 24, 32)))
    about = [json.loads(file.read_text()) for file in (tmp_path / "s").rglob("*.json")]
    assert len(about) == 2
    assert "secret" not in json.dumps(about)
    assert build(next(clip["degradation"] for clip in about if "degradation" in clip)) == Bicubic(4)


def test_clips_are_kept_in_the_order_of_the_source(fill, tmp_path, noise):
    a, b = Shot("a", noise), Shot("b", noise)
    fill(tmp_path / "s", a, b)
    assert [clip.fresh for clip in fill(tmp_path / "s", b, a)] == [False, False]
    assert [shot.name for shot in ClipStore(folder=str(tmp_path / "s"), scale=4).train()] == ["b", "a"]
