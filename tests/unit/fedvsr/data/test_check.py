"""Promises: every defect of every clip is said at once, in a sentence with a remedy, and sound clips pass."""

import subprocess

import cv2
import numpy as np
import pytest

from fedvsr.data.check import check_all, check_entry
from fedvsr_core.data.frames import read_frames
from fedvsr_core.data.images import runs_of
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.metrics.vmaf import find_ffmpeg

MADE = np.random.default_rng(0).integers(0, 256, (7, 24, 32, 3), dtype=np.uint8)


def look(folder, scale=4, **changed):
    return check_entry(Entry("a", folder, **changed), scale=scale, quick=False)


@pytest.mark.parametrize("name", ["reds", "vid4", "spmcs", "udm10", "vimeo90k", "kinetics", "videos"])
def test_sound_datasets_have_no_problem(fake, name):
    findings = list(check_all(detect(str(fake(name)), scale=4), quick=False))
    assert len(findings) > 0
    assert [finding.problems + finding.notes for finding in findings] == [[]] * len(findings)
    assert all(finding.frames and finding.height and finding.width for finding in findings)


def empty(folder):
    (folder / "frame3.png").write_bytes(b"")


def truncated(folder):
    path = folder / "frame3.png"
    path.write_bytes(path.read_bytes()[:500])


def missing(folder):
    (folder / "frame3.png").unlink()


def smaller(folder):
    cv2.imwrite(str(folder / "frame3.png"), np.zeros((20, 32, 3), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (empty, "frame3.png has 0 bytes; extract it anew"),
        (truncated, "frame3.png can't be read as an image; extract it anew"),
        (
            missing,
            "numbering jumps after 'frame2.png'; restore the missing frames, or leave it so and the clip is"
            " cut there",
        ),
        (
            smaller,
            "frames must have one size, 32x24 as most, but frame3.png has another; replace or remove it",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_defects_of_a_folder(tmp_path, write_images, spoil, problem):
    folder = write_images(tmp_path / "a", MADE)
    spoil(folder)
    assert look(folder).problems == [problem]


def test_defects_are_said_all_at_once(tmp_path, write_images):
    folder = write_images(tmp_path / "a", MADE)
    for number in (1, 2, 3, 5, 6):
        (folder / f"frame{number}.png").write_bytes(b"")
    (folder / "frame0.png").write_bytes(b"\x89PNG broken")
    problems = look(folder).problems
    assert any("frame1.png, frame2.png, frame3.png and 2 more has 0 bytes" in problem for problem in problems)
    assert any("frame0.png can't be read" in problem for problem in problems)


def test_what_needs_no_remedy_is_a_note(tmp_path, write_images):
    folder = write_images(tmp_path / "a", MADE[:, :23, :30])
    (folder / "notes.txt").write_text("hello")
    cv2.imwrite(str(folder / "frame3.png"), np.zeros((23, 30, 3), np.uint16))
    finding = look(folder)
    assert finding.problems == []
    assert finding.notes == [
        "notes.txt among the frames is no image and is left out",
        "frame3.png has 16 bits, which are reduced to 8; convert it for another rounding",
        "30x23 isn't a multiple of 4: 3 rows at the bottom and 2 columns at the right are cut off",
    ]


def test_low_frames_that_do_not_fit(tmp_path, write_images):
    high = write_images(tmp_path / "a", MADE)
    few = write_images(tmp_path / "few", MADE[:5, ::4, ::4])
    large = write_images(tmp_path / "large", MADE[:, ::2, ::2])
    assert look(high, low=write_images(tmp_path / "sound", MADE[:, ::4, ::4])).problems == []
    (problem,) = look(high, low=few).problems
    assert problem.startswith("clip 'a' has 7 high-resolution frames, but 5 low-resolution ones")
    (problem,) = look(high, low=large).problems
    assert "must be 8x6 for scale 4, but those in" in problem
    assert "are 16x12; name the folder for this scale, or remove it" in problem
    (problem,) = look(high, low=tmp_path / "none").problems
    assert problem.startswith("there are no low-resolution frames")


def test_a_published_clip_has_its_number_of_frames(tmp_path, write_images):
    finding = look(write_images(tmp_path / "a", MADE), frames=9)
    assert finding.problems == ["has 7 frames, but the published set has 9; extract it anew"]


def test_a_truncated_video(tmp_path, write_video):
    frames = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    path = write_video(tmp_path / "a.avi", frames)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    finding = look(path)
    assert 0 < finding.frames < 60
    (problem,) = finding.problems
    assert problem == "its end is damaged or missing; what can be read is used, copy or re-encode the file"


def test_a_file_that_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("hello")
    (problem,) = look(tmp_path / "a.mp4").problems
    assert "can't be decoded as one" in problem
    (problem,) = look(tmp_path / "b.mp4").problems
    assert problem.endswith("b.mp4'; restore it")


def test_a_clip_smaller_than_the_scale(tmp_path, write_images):
    finding = look(write_images(tmp_path / "a", MADE[:, :3]))
    assert finding.problems == ["frames of 32x3 are smaller than 4x4; remove the clip"]


def test_quick_reads_headers_only(tmp_path, write_images, write_video):
    folder = write_images(tmp_path / "a", MADE)
    truncated(folder)
    assert check_entry(Entry("a", folder), scale=4, quick=True).problems == []
    video = check_entry(Entry("b", write_video(tmp_path / "b.mkv", MADE)), scale=4, quick=True)
    assert (video.frames, video.height, video.width, video.fps) == (7, 24, 32, 12.5)


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        (["1.png", "2.png", "5.png", "6.png", "9.png"], [(0, 2), (2, 4), (4, 5)]),
        (["im2.png", "im4.png", "im6.png"], [(0, 3)]),  # every second frame, without a gap
        (["a.png", "b.png"], [(0, 2)]),
        (["x1_2.png", "x2_2.png"], [(0, 2)]),
        (["7.png"], [(0, 1)]),
    ],
    ids=["gaps", "steps", "no-numbers", "repeated", "one"],
)
def test_runs_by_hand(names, runs):
    assert runs_of(names) == runs


def coded(path, *options):
    """A video file of 64x48 by ffmpeg, 20 frames at 30 a second."""
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=30:duration=0.667"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, *options, str(path)], check=True)
    return path


def test_turned_videos_are_read_upright(tmp_path):
    upright = coded(tmp_path / "upright.mp4")
    turned = tmp_path / "turned.mp4"
    command = [find_ffmpeg(), "-v", "error", "-display_rotation", "90", "-i", str(upright)]
    subprocess.run([*command, "-c", "copy", str(turned)], check=True)
    finding = look(turned)
    assert (finding.height, finding.width) == (64, 48)
    assert finding.problems == []
    assert finding.notes == ["marked as turned by 270 degrees: its frames are read upright"]
    frame, expected = (next(read_frames(path)).astype(int) for path in (turned, upright))
    assert np.abs(frame - np.rot90(expected)).mean() < 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_a_variable_frame_rate_doubles_and_drops_nothing(tmp_path, suffix):
    every_third_after_ten = "select='lt(n,10)+not(mod(n,3))'"  # 10 frames, then 12, 15 and 18
    path = coded(tmp_path / f"a{suffix}", "-vf", every_third_after_ten, "-fps_mode", "vfr")
    finding = look(path)
    assert finding.frames == 13
    assert finding.problems == []
    assert [note for note in finding.notes if note.startswith("frame rate varies, 3")]
    assert len(list(read_frames(path))) == 13
