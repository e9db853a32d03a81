"""Promises: all videos and frame folders under a folder, however deep, each by its path; defects by name."""

import numpy as np
import pytest

from fedvsr_core.data.layouts.videos import Videos
from fedvsr_core.errors import DataError


def videos(folder, **changed):
    return Videos(**{"folder": str(folder), "max_frames": 5, "scale": 4} | changed)


@pytest.fixture
def folder(tmp_path, noise, write_video, write_images):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_video(tmp_path / "clip10.mkv", noise)
    write_video(tmp_path / "clip2.AVI", noise[:3])
    write_video(tmp_path / "deep" / "er" / "a.mkv", noise)
    write_images(tmp_path / "frames", noise[:4, :22])
    (tmp_path / "notes.txt").write_text("nothing")
    write_images(tmp_path / "posters", noise[:1])
    write_video(tmp_path / "posters" / "film.mkv", noise)
    return tmp_path


def test_finds_all(folder, noise):
    shots = videos(folder).train()
    assert {shot.name: (shot.frames, shot.height, shot.width) for shot in shots} == {
        "clip2.AVI": (3, 24, 32),
        "clip10.mkv": (5, 24, 32),
        "deep/er/a.mkv": (5, 24, 32),
        "frames": (4, 20, 32),
        "posters/film.mkv": (5, 24, 32),
    }
    assert [shot.name for shot in shots][:2] == ["clip2.AVI", "clip10.mkv"]
    np.testing.assert_array_equal(shots[1].clip().high, noise[:5])


def test_a_folder_of_frames_by_itself(tmp_path, noise, write_images):
    folder = write_images(tmp_path / "only", noise)
    assert [shot.name for shot in videos(folder).train()] == ["only"]


def test_nothing_is_held_out(folder):
    assert videos(folder).held_out() == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("none", "there is no folder of videos at"),
        ("empty", "expected video files or folders of frames under"),
    ],
)
def test_refuses_nothing(tmp_path, where, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{message} '.*{where}'"):
        videos(tmp_path / where).train()


def test_a_broken_video_is_left_out_by_name(folder, caplog):
    whole = videos(folder).train()
    (folder / "broken.mp4").write_bytes(b"no video")
    assert [shot.name for shot in videos(folder).train()] == [shot.name for shot in whole]
    assert "left out: expected a video at" in caplog.text
    assert "broken.mp4" in caplog.text


def test_a_clip_is_cut_where_frames_are_missing(tmp_path, noise, write_images):
    folder = write_images(tmp_path / "only", noise)
    (folder / "frame3.png").unlink()
    shots = videos(folder, max_frames=None).train()
    assert [shot.name for shot in shots] == ["only[0:3]", "only[3:6]"]
    np.testing.assert_array_equal(shots[1].clip().high, noise[4:])


def test_refuses_a_folder_of_broken_videos(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"1 clips of .* can't be used; .*\n  - expected a video at .*broken"):
        videos(tmp_path).train()


def test_a_folder_with_an_empty_image_is_left_out_by_name(tmp_path, noise, write_images, caplog):
    write_images(tmp_path / "sound", noise)
    write_images(tmp_path / "broken", noise)
    (tmp_path / "broken" / "frame3.png").write_bytes(b"")
    assert [shot.name for shot in videos(tmp_path).train()] == ["sound"]
    assert "broken/frame3.png' can't be read as an image" in caplog.text
