"""Promises: all videos and frame folders under a folder, however deep, each by its path; defects by name."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from fedvsr.data.check import check_entry
from fedvsr.evaluation.videos import videos_to_score
from fedvsr_core.data.degradation import Bicubic
from fedvsr_core.data.frames import read_frames
from fedvsr_core.data.images import folder_notes, holds_frames, read_image
from fedvsr_core.data.layouts.entry import Entry, without
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


def poster(path, noise):
    cv2.imwrite(str(path), noise[0, :8])


def test_a_poster_is_no_frame_and_said_by_whoever_reads_the_folder(tmp_path, noise, write_images, caplog):
    folder = write_images(tmp_path / "set" / "only", noise)
    poster(folder / "cover.jpg", noise)
    said = "cover.jpg isn't named as the frames are ('frame0.png'), and left out"
    how = {"scale": 4, "low": None, "degradation": Bicubic(scale=4)}
    readers = {
        "training": lambda: videos(folder).train()[0].frames,
        "evaluate a folder of frames": lambda: videos_to_score(str(folder), **how)[0].frames,
        "evaluate a folder of folders": lambda: videos_to_score(str(folder.parent), **how)[0].frames,
    }
    assert {name: read() for name, read in readers.items()} == dict.fromkeys(readers, 7) | {"training": 5}
    assert [record.getMessage() for record in caplog.records] == [f"clip 'only': {said}"] * 3
    assert said in check_entry(Entry("only", folder), scale=4, quick=False).notes
    np.testing.assert_array_equal(list(read_frames(folder)), noise)


def test_a_poster_above_folders_is_no_clip(tmp_path, noise, write_images):
    write_images(tmp_path / "all" / "a", noise)
    poster(tmp_path / "all" / "poster.jpg", noise)
    assert [shot.name for shot in videos(tmp_path / "all").train()] == ["a"]
    assert not holds_frames(tmp_path / "all")


def test_images_named_in_as_many_ways_are_all_frames_and_said(tmp_path, noise, write_images):
    folder = write_images(tmp_path / "a", noise[:2])
    for name in ("left.png", "right.png"):
        cv2.imwrite(str(folder / name), noise[0])
    assert len(list(read_frames(folder))) == 4
    said = "left.png, right.png isn't named as 'frame0.png', but read as a frame too"
    assert folder_notes(folder) == [said]


def test_a_clip_is_cut_where_frames_are_missing(tmp_path, noise, write_images, caplog):
    folder = write_images(tmp_path / "only", noise)
    (folder / "frame3.png").unlink()
    shots = videos(folder, max_frames=None).train()
    assert "clip 'only': numbering jumps after 'frame2.png'" in caplog.text
    assert [shot.name for shot in shots] == ["only[0:3]", "only[3:6]"]
    np.testing.assert_array_equal(shots[1].clip().high, noise[4:])


def test_refuses_a_folder_of_broken_videos(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"1 clips of .* can't be used; .*\n  - expected a video at .*broken"):
        videos(tmp_path).train()


def test_a_broken_image_is_left_out_by_name_and_the_clip_cut_there(tmp_path, noise, write_images, caplog):
    write_images(tmp_path / "sound", noise)
    write_images(tmp_path / "broken", noise)
    (tmp_path / "broken" / "frame3.png").write_bytes(b"")
    shots = {shot.name: shot for shot in videos(tmp_path).train()}
    assert set(shots) == {"broken[0:3]", "broken[4:5]", "sound"}
    np.testing.assert_array_equal(shots["broken[4:5]"].clip().high, noise[4:5])
    assert "broken/frame3.png' can't be read as an image" in caplog.text


def header_of_png(width, height):
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_an_image_that_claims_to_be_huge_is_left_out_by_name(tmp_path, noise, write_images, caplog, side):
    write_images(tmp_path / "clip", noise)
    (tmp_path / "clip" / "frame2.png").write_bytes(header_of_png(side, side))
    assert [shot.name for shot in videos(tmp_path).train()] == ["clip[0:2]", "clip[3:5]"]
    assert "frame2.png': Image size" in caplog.text


def test_only_so_many_pixels_are_read(tmp_path):
    (tmp_path / "1.png").write_bytes(header_of_png(11_586, 11_586))  # just beyond 2**27, where PIL only warns
    with pytest.raises(DataError, match="must have at most 134217728 pixels, has 11586x11586 by its header"):
        read_image(tmp_path / "1.png")


@pytest.mark.parametrize("name", [b"a\xff", b"a\nb", b"a\x1b[2J", b"<b>"])
def test_names_of_files_may_hold_anything(tmp_path, noise, write_video, write_images, name):
    path = tmp_path / os.fsdecode(name)
    write_video(tmp_path / "v.mkv", noise).rename(path.with_name(path.name + ".mkv"))
    write_images(tmp_path / "images", noise).rename(path)  # OpenCV dies of names that aren't UTF-8
    shots = videos(tmp_path).train()
    assert len(shots) == 2
    for shot in shots:
        assert shot.name.isprintable()
        assert shot.name.encode()
        assert shot.clip().high.shape == (5, 24, 32, 3)


@pytest.mark.parametrize(
    ("places", "kept"),
    [([], [(0, 5)]), ([0], [(1, 5)]), ([4], [(0, 4)]), ([1, 2], [(0, 1), (3, 5)]), (range(5), [])],
)
def test_runs_without_some_places(places, kept):
    assert without(places, [(0, 5)]) == kept
