"""Promises: frames of files and folders in order, in RGB; one sentence for whatever isn't a video."""

import numpy as np
import pytest

from fedvsr_core.data.clips import ALL, Cut
from fedvsr_core.data.frames import VideoFacts, VideoFrames, pick_frames, probe, read_frames, stream
from fedvsr_core.data.images import ImageFrames, image_files, natural_key
from fedvsr_core.errors import DataError


def test_a_video_comes_back(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mkv", noise)
    facts = probe(path)
    assert (facts.height, facts.width, facts.fps) == (24, 32, 12.5)
    np.testing.assert_array_equal(list(read_frames(path)), noise)
    np.testing.assert_array_equal(list(read_frames(path, 2, 5)), noise[2:5])


def test_a_folder_comes_back_in_natural_order(tmp_path, write_images):
    frames = np.arange(11, dtype=np.uint8)[:, None, None, None] + np.zeros((4, 5, 3), np.uint8)
    folder = write_images(tmp_path / "a", frames)
    (folder / "notes.txt").write_text("frame10 comes last")
    assert probe(folder) == VideoFacts(11, 4, 5, None)
    np.testing.assert_array_equal(list(read_frames(folder)), frames)
    np.testing.assert_array_equal(list(read_frames(folder, 3, 5)), frames[3:5])


def test_natural_order():
    names = ["b1", "a10", "a2", "a", "2", "10"]
    assert sorted(names, key=natural_key) == ["2", "10", "a", "a2", "a10", "b1"]


def test_a_box_of_a_video_and_of_a_folder(tmp_path, noise, write_video, write_images):
    video = VideoFrames(write_video(tmp_path / "a.mkv", noise), (0, 2, 3, 6), 24, 32)
    images = ImageFrames(tuple(image_files(write_images(tmp_path / "a", noise))), 24, 32)
    assert video.shape == (4, 24, 32, 3)
    assert images.shape == noise.shape
    np.testing.assert_array_equal(video[ALL], noise[[0, 2, 3, 6]])
    np.testing.assert_array_equal(video[1:3, 4:9, 30:32], noise[2:4, 4:9, 30:32])
    np.testing.assert_array_equal(images[5:7, 4:, :8], noise[5:7, 4:, :8])
    assert video[2:2, 4:9, :].shape == (0, 5, 32, 3)


def test_streams_decode_each_frame_once(tmp_path, noise, write_video):
    video = VideoFrames(write_video(tmp_path / "a.mkv", noise), range(7), 24, 32)
    np.testing.assert_array_equal(list(stream(video)), noise)
    cut = Cut(video, (slice(1, 6), slice(0, 20), slice(4, 32)))
    np.testing.assert_array_equal(list(stream(cut)), noise[1:6, :20, 4:])
    np.testing.assert_array_equal(list(stream(noise)), noise)


def test_frames_are_picked_by_their_time(tmp_path, noise, write_video):
    # Frames at 0, 80, ..., 480 ms: one each 160 ms is every second; asked for more, none is taken twice.
    path = write_video(tmp_path / "a.mkv", noise, fps=12.5)
    assert pick_frames(path, None, 6.25) == (0, 2, 4, 6)
    assert pick_frames(path, 2, 6.25) == (0, 2)
    assert pick_frames(path, None, 100.0) == tuple(range(7))


def test_a_name_with_digits_is_no_series_of_images(tmp_path, noise, write_video, write_images):
    write_images(tmp_path / "series", noise, "{:03d}.png")
    path = write_video(tmp_path / "series" / "001.mkv", noise[:2])
    assert len(list(read_frames(path))) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "there is no video file or folder of frames at '.*clip.mp4'"),
        (
            lambda path: path.write_text("hello"),
            "expected a video at '.*clip.mp4', but the file can't be decoded",
        ),
        (
            lambda path: path.write_bytes(b""),
            "expected a video at '.*clip.mp4', but the file can't be decoded",
        ),
        (lambda path: path.mkdir(), r"expected images \(.bmp, .*\) in the folder '.*clip.mp4', found none"),
    ],
    ids=["missing", "text", "empty", "empty-folder"],
)
@pytest.mark.parametrize("look", [probe, lambda path: next(read_frames(path))], ids=["probe", "read"])
def test_refuses_what_is_no_video(tmp_path, make, message, look):
    make(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match=message):
        look(tmp_path / "clip.mp4")


@pytest.mark.parametrize("content", [b"", b"\x89PNG broken"], ids=["empty", "broken"])
def test_refuses_an_unreadable_image_by_name(tmp_path, noise, write_images, content):
    folder = write_images(tmp_path / "a", noise)
    (folder / "frame3.png").write_bytes(content)
    with pytest.raises(DataError, match=r"frame3\.png' can't be read as an image; replace or remove it"):
        list(read_frames(folder))


def test_refuses_frames_of_another_size(tmp_path, noise, write_images):
    folder = write_images(tmp_path / "a", [*noise[:2], noise[2, :20]])
    with pytest.raises(DataError, match=r"frame 2 of '.*a' is 32x20 after 32x24"):
        list(read_frames(folder))


def test_refuses_a_video_that_ends_early(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mkv", noise)
    with pytest.raises(DataError, match=r"expected 9 frames in '.*a\.mkv', got fewer; it is damaged"):
        VideoFrames(path, range(1, 9), 24, 32)[ALL]
