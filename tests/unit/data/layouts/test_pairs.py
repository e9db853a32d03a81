"""Promises: recordings of both resolutions are matched by name and frame, and no wrong pair is trained on."""

import logging

import cv2
import numpy as np
import pytest

from fedvsr.data.check import check_all
from fedvsr_core.data.degradation import Bicubic
from fedvsr_core.data.layouts.detect import Folders, detect
from fedvsr_core.data.layouts.pairs import Pairs
from fedvsr_core.errors import DataError
from tests.videos import seen, texture

FRAMES = 4


def clip(seed):
    return texture(FRAMES, 96, 128, seed)


def write_images(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1])


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    size = frames.shape[2], frames.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def low_of(frames, right=0.0):
    return seen(frames, 4, right)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "high", tmp_path / "low"


def pairs(folders, **changes):
    high, low = map(str, folders)
    return Pairs(**{"folder": high, "low_folder": low, "max_frames": None, "scale": 4} | changes)


def test_folders_of_images(folders):
    frames = clip(1)
    write_images(folders[0] / "a" / "1", frames)
    write_images(folders[1] / "a" / "1", low_of(frames))
    (shot,) = pairs(folders).train()
    assert shot.name == "a/1"
    assert np.array_equal(shot.clip().high, frames)
    assert np.array_equal(shot.clip().low, low_of(frames))
    assert shot.degraded(Bicubic(scale=4)) is shot  # what was recorded is what is trained on


@pytest.mark.parametrize("low_is_video", [True, False])
def test_a_video_and_its_beginning(folders, low_is_video):
    frames = clip(2)
    write_video(folders[0] / "1.avi", frames)
    if low_is_video:
        write_video(folders[1] / "1.avi", low_of(frames))
    else:
        write_images(folders[1] / "1", low_of(frames))
    (shot,) = pairs(folders, max_frames=3).train()
    assert shot.high.shape == (3, 96, 128, 3)
    assert shot.low.shape == (3, 24, 32, 3)
    assert np.abs(shot.clip().low.astype(int) - low_of(frames)[:3]).mean() < 6  # Motion JPEG


@pytest.mark.parametrize(("right", "kept", "said"), [(0.3, 1, 0), (2, 1, 1), (6, 0, 1)])
def test_shifts_are_judged(folders, right, kept, said, caplog):
    for name, shift in (("sound", 0.0), ("shifted", right)):
        write_images(folders[0] / name, clip(3))
        write_images(folders[1] / name, low_of(clip(3), shift))
    names = [shot.name for shot in pairs(folders).train()]
    assert names == (["shifted", "sound"] if kept else ["sound"])
    assert len([text for text in caplog.messages if "shifted by" in text]) == said


def test_what_shows_something_else_is_left_out(folders, caplog):
    for name, seed in (("a", 3), ("b", 4)):
        write_images(folders[0] / name, clip(seed))
        write_images(folders[1] / name, low_of(clip(3)))
    assert [shot.name for shot in pairs(folders).train()] == ["a"]
    assert "left out: the low- and high-resolution frames of clip 'b' show different things" in caplog.text


def test_frames_that_are_missing(folders, caplog):
    for name, stop in (("a", FRAMES), ("b", FRAMES - 1)):
        write_images(folders[0] / name, clip(3))
        write_images(folders[1] / name, low_of(clip(3))[:stop])
    assert [shot.name for shot in pairs(folders).train()] == ["a"]
    assert "clip 'b' has 4 high-resolution frames, but 3 low-resolution ones" in caplog.text


def test_another_factor(folders):
    write_images(folders[0] / "a", clip(3))
    write_images(folders[1] / "a", low_of(clip(3)))
    with pytest.raises(DataError, match=r"must be 64x48 for scale 2, but those in '.*low/a' are 32x24"):
        pairs(folders, scale=2).train()


def test_what_has_no_partner_is_named(folders, caplog):
    for name in "ab":
        write_images(folders[0] / name, clip(3))
    for name in "bc":
        write_images(folders[1] / name, low_of(clip(3)))
    assert [entry.name for entry in pairs(folders).entries()] == ["b"]
    assert caplog.messages == [f"left out, since only one of '{folders[0]}' and '{folders[1]}' has it: a, c"]


def test_nobody_has_a_partner(folders):
    write_images(folders[0] / "a", clip(3))
    write_images(folders[1] / "b", low_of(clip(3)))
    with pytest.raises(
        DataError, match=r"^expected clips by the same names under '.*high' and '.*low', found"
    ):
        pairs(folders).entries()


def test_two_by_one_name(folders):
    write_video(folders[0] / "a.avi", clip(3))
    write_images(folders[0] / "a", clip(3))
    write_images(folders[1] / "a", low_of(clip(3)))
    with pytest.raises(DataError, match=r"have one name; rename one of them$"):
        pairs(folders).entries()


def test_to_score_on(folders, tmp_path):
    for name, seed in (("train", 3), ("test", 4)):
        write_images(tmp_path / name / "high" / "a", clip(seed))
        write_images(tmp_path / name / "low" / "a", low_of(clip(seed)))
    data = Folders(
        folder=str(tmp_path / "train/high"),
        low_folder=str(tmp_path / "train/low"),
        held_out_folder=str(tmp_path / "test/high"),
        held_out_low_folder=str(tmp_path / "test/low"),
        max_frames=None,
        scale=4,
    )
    assert np.array_equal(data.train()[0].clip().low, low_of(clip(3)))
    assert np.array_equal(data.held_out()[0].clip().low, low_of(clip(4)))


def test_they_are_checked(folders, caplog):
    caplog.set_level(logging.ERROR)
    for name, shift in (("far", 6.0), ("near", 2.0), ("sound", 0.0)):
        write_images(folders[0] / name, clip(3))
        write_images(folders[1] / name, low_of(clip(3), shift))
    far, near, sound = check_all(detect(*map(str, folders), scale=4), quick=False)
    assert {far.low, near.low, sound.low} == {"given"}
    assert "shifted by 6" in far.problems[0]
    assert "shifted by 2." in near.notes[0]
    assert not near.problems
    assert not sound.problems
    assert sound.notes[0].startswith("low resolution lies ")


def test_videos_are_checked(folders):
    write_video(folders[0] / "a.avi", clip(2))
    write_video(folders[1] / "a.avi", low_of(clip(2))[:3])
    (finding,) = check_all(detect(*map(str, folders), scale=4), quick=True)
    assert "4 high-resolution frames, but 3 low-resolution ones" in finding.problems[0]
