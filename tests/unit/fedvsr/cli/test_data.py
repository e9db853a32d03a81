"""Promises: from a folder of videos to a store and its division, a command each; defects end with 1."""

import numpy as np
import pytest
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr.inference.encoding import Encoding
from fedvsr.inference.frame_writer import Output, Timing, open_writer
from fedvsr_core.data.clips import ALL
from fedvsr_core.data.frames import read_frames
from fedvsr_core.data.synthetic import Texture

MOVING = Texture(0, 0, 1, 40, 200)[ALL][0] // 4 + 90


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setenv("FEDVSR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "300")

    def run(*words):
        return CliRunner().invoke(app, ["data", *map(str, words)])

    return run


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.mkv", "b.mkv"):
        with open_writer(Output(folder / name, Timing.constant(25), Encoding("ffv1"))) as writer:
            for time in range(10):
                writer.write(np.ascontiguousarray(MOVING[:, time : time + 48]))
    return folder


def test_check_says_what_is_there(call, videos):
    done = call("check", videos)
    assert done.exit_code == 0, done.output
    assert "videos and folders of frames, 2 clips (0 held out), 20 frames; 2 are sound" in done.output


def test_check_says_what_is_wrong(call, videos):
    (videos / "broken.mp4").write_text("hello")
    done = call("check", videos)
    assert done.exit_code == 1
    assert "problem: clip 'broken.mp4': expected a video at" in done.output
    assert "what can't be used is left out of training" in done.output


def test_of_many_clips_only_those_that_need_a_look_are_listed(call, videos, monkeypatch):
    monkeypatch.setattr("fedvsr.cli.data._ROWS", 1)
    (videos / "broken.mp4").write_text("hello")
    done = call("check", videos)
    assert "... and 2 others" in done.output
    assert "│ broken.mp4" in done.output
    assert "│ a.mkv" not in done.output


def test_a_missing_folder_is_one_sentence(call, tmp_path):
    done = call("check", tmp_path / "none")
    assert done.exit_code == 1
    assert f"there is no folder '{tmp_path / 'none'}'" in done.output
    assert "Traceback" not in done.output


def test_prepare_then_check_then_partition(call, videos, tmp_path):
    store = tmp_path / "store"
    done = call("prepare", videos, store, "--workers", 1, "--max-frames", 9)
    assert done.exit_code == 0, done.output
    assert "2 shots of 2 clips, 18 frames" in done.output
    assert "0 clips done now" in call("prepare", videos, store, "--workers", 1, "--max-frames", 9).output
    assert "a clip store of 2 shots, 18 frames" in call("check", store).output
    first = next(store.glob("*/0.low.u8"))
    whole = first.read_bytes()
    first.write_bytes(whole[:100])
    damaged = call("check", store)
    assert damaged.exit_code == 1
    assert "problem: clip 'a.mkv': expected 3240 bytes in" in damaged.output.replace("b.mkv", "a.mkv")
    first.write_bytes(whole)
    chosen = f"""data="store" overrides="data.folder='{store}' partition=exponential partition.alpha=0.1" """
    done = call("partition", "--clients", 2, "-c", chosen, "--plot", tmp_path / "parts.png")
    assert done.exit_code == 0, done.output
    assert "exponential: 2 clients of 9 to 9 frames" in done.output
    assert (tmp_path / "parts.png").read_bytes().startswith(b"\x89PNG")


def test_prepare_takes_the_data_of_the_configuration(call, tmp_path):
    chosen = 'data="synthetic" overrides="data.clips=1 data.held_out_clips=1 data.frames=8"'
    done = call("prepare", "-", tmp_path / "store", "-c", chosen, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "2 shots of 2 clips, 16 frames" in done.output


def test_prepare_refuses_a_disk_that_is_full(call, videos, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    done = call("prepare", videos, tmp_path / "store", "--workers", 1)
    assert done.exit_code == 1
    assert "take fewer frames with --max-frames, or another disk" in done.output
    assert not (tmp_path / "store").exists()


def test_a_clip_without_a_shot_is_named(call, videos, tmp_path):
    done = call(
        "prepare", videos, tmp_path / "store", "-c", 'overrides="prepare.min_frames=11"', "--workers", 1
    )
    assert "note: clip 'a.mkv': none of its shots has the frames that are asked for" in done.output


def test_sources_are_only_read(call, videos, tmp_path):
    before = {path: path.read_bytes() for path in videos.iterdir()}
    for path in videos.iterdir():
        path.chmod(0o444)
    videos.chmod(0o555)
    assert call("check", videos).exit_code == 0
    assert call("prepare", videos, tmp_path / "store", "--workers", 1).exit_code == 0
    assert {path: path.read_bytes() for path in videos.iterdir()} == before
    assert len(list(read_frames(videos / "a.mkv"))) == 10


def test_a_run_config_that_cannot_be_read(call):
    done = call("partition", "-c", "data=[")
    assert done.exit_code == 1
    assert "run-config" in done.output
