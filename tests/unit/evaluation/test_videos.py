"""Promises: a video is scored as it is decoded; what doesn't fit is named."""

from unittest import mock

import numpy as np
import pytest
import torch

from fedvsr.inference.encoding import Encoding
from fedvsr.inference.frame_writer import Output, Timing, open_writer
from fedvsr_core.components import build
from fedvsr_core.data.clips import ALL, Cut
from fedvsr_core.data.decoding import decode
from fedvsr_core.data.degradation import Bicubic, MadeLow, bicubic_down, bicubic_up
from fedvsr_core.data.frames import VideoFrames, stream
from fedvsr_core.errors import DataError, ShapeError
from fedvsr_core.evaluation.videos import Video, score_video
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.suite import Suite
from server_app.config import compose

CPU = torch.device("cpu")
SUITE = Suite(["psnr-y"], border=0, device=CPU)


def protocol(**changes):
    facts = {"name": "own", "metrics": ["psnr-y"], "border": 0, "frames": "all", "skip": 0}
    return Protocol(**{**facts, "averaging": "clips", "low": None, **changes})


@pytest.fixture
def high():
    return np.random.default_rng(0).integers(0, 256, (20, 18, 22, 3), dtype=np.uint8)


def bicubic(low):
    return (bicubic_up(frame) for frame in low)


def score(video, restores=None, upscaled=None, **options):
    settings = {
        "suite": SUITE,
        "protocol": protocol(),
        "scale": 4,
        "degradation": Bicubic(scale=4),
        **options,
    }
    return score_video(video, restores or {}, upscaled or {}, **settings)


def test_frames_are_cropped_degraded_restored_and_compared(high):
    seen = []
    found = score(Video("a", 20, lambda: iter(high)), {"bicubic": bicubic}, progress=lambda: seen.append(1))
    target = high[:, :16, :20]
    expected = psnr(bicubic_up(bicubic_down(target)), target, channel="y")
    np.testing.assert_array_equal(found["bicubic"]["psnr-y"], expected)
    assert len(seen) == 20


def test_its_own_low_frames_come_before_made_ones(high):
    low = np.zeros((20, 4, 5, 3), np.uint8)
    video = Video("a", 20, lambda: iter(high), lambda: iter(low))
    found = score(video, {"black": bicubic, "again": bicubic})
    expected = psnr(np.zeros((20, 16, 20, 3), np.uint8), high[:, :16, :20], channel="y")
    np.testing.assert_array_equal(found["black"]["psnr-y"], expected)
    np.testing.assert_array_equal(found["again"]["psnr-y"], expected)


def test_all_frames_are_restored_but_only_some_scored(high):
    seen = []
    upscaled = {"theirs": (frame[:16, :20] // 2 for frame in high)}
    found = score(
        Video("a", 20, lambda: iter(high)),
        {"bicubic": lambda low: (seen.append(1) or frame for frame in bicubic(low))},
        upscaled,
        protocol=protocol(skip=3, frames="centre"),
    )
    assert len(seen) == 20
    middle = high[10, :16, :20]
    assert found["theirs"]["psnr-y"] == [psnr(middle // 2, middle, channel="y")]


def test_memory_does_not_grow_with_the_video(high):
    ahead, most = 0, 0

    def frames(count):
        nonlocal ahead, most
        for number in range(count):
            ahead += 1
            most = max(most, ahead)
            yield high[number % 20]

    def scored():
        nonlocal ahead
        ahead -= 1

    for length in (30, 300):
        ahead, most = 0, 0
        score(Video("a", length, lambda n=length: frames(n)), {"bicubic": bicubic}, progress=scored)
        assert (ahead, most) == (0, 1), length


@pytest.mark.parametrize(
    ("upscaled", "message"),
    [
        (lambda high: high[:19, :16, :20], "clip 'a': theirs ends after 19 frames, the ground truth goes on"),
        (
            lambda high: high[[*range(20), 0], :16, :20],
            "the ground truth ends after 20 frames, theirs goes on",
        ),
        (lambda high: high, r"clip 'a': frame 0 of theirs must be 20x16 as the ground truth, .* got 22x18"),
    ],
    ids=["short", "long", "size"],
)
def test_upscaled_frames_that_do_not_fit_are_refused(high, upscaled, message):
    with pytest.raises(DataError, match=message):
        score(Video("a", 20, lambda: iter(high)), upscaled={"theirs": iter(upscaled(high))})


def test_a_video_that_ends_too_early_is_refused(high):
    with pytest.raises(DataError, match="clip 'a' must have 21 frames, but 20 can be decoded"):
        score(Video("a", 21, lambda: iter(high)), {"bicubic": bicubic})


@pytest.mark.parametrize("name", ["bd12", "noisy", "compressed"])
def test_low_frames_are_those_of_the_whole_clip(high, name):
    degradation = build(compose({"overrides": f"degradation={name}"}).degradation)
    cropped = high[:, :16, :20]
    expected = MadeLow(cropped, degradation, "a")[ALL]
    seen = []
    video = Video("a", 20, lambda: iter(high))
    score(
        video,
        {"x": lambda low: (seen.append(one) or bicubic_up(one) for one in low)},
        degradation=degradation,
    )
    np.testing.assert_array_equal(np.stack(seen), expected)


def test_frames_are_read_some_at_a_time_but_a_video_once(high, tmp_path):
    class Watched:
        shape = high.shape
        reads = ()

        def __getitem__(self, box):
            self.reads = (*self.reads, (box[0].start, box[0].stop))
            return high[box]

    pixels = Watched()
    cut = Cut(pixels, (slice(1, 20), slice(0, 16), slice(2, 22)))
    np.testing.assert_array_equal(list(stream(cut)), high[1:, :16, 2:])
    assert pixels.reads == ((1, 9), (9, 17), (17, 20))
    with open_writer(Output(tmp_path / "a.mkv", Timing.constant(25), Encoding("ffv1"))) as writer:
        for frame in high:
            writer.write(frame)
    video = VideoFrames(tmp_path / "a.mkv", range(20), 18, 22)
    with mock.patch("fedvsr_core.data.frames.decode", side_effect=decode) as read:
        np.testing.assert_array_equal(
            list(stream(Cut(video, (slice(0, 20), slice(0, 16), slice(0, 20))))), high[:, :16, :20]
        )
    assert read.call_count == 1


def test_a_metric_that_cannot_score_such_frames_names_the_clip(high):
    with pytest.raises(ShapeError, match="clip 'a': tOF needs at least 48 pixels"):
        score(Video("a", 20, lambda: iter(high)), {"x": bicubic}, suite=Suite(["tof"], border=0, device=CPU))
