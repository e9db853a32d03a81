"""Promises: a video in, the upscaled video out; one sentence and nothing written when that can't be."""

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.data.frames import probe, read_frames
from fedvsr_core.models.recurrent import Recurrent

SETTINGS = {"width": 4, "blocks": 1, "scale": 4}
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), dtype=np.uint8)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    target = f"{Recurrent.__module__}.{Recurrent.__qualname__}"
    save_model(path, Recurrent(**SETTINGS).state_dict(), {"_target_": target, **SETTINGS})
    return path


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "in.mkv"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 12.5, (16, 12))
    for frame in FRAMES:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def call(*arguments):
    return CliRunner().invoke(app, ["upscale", "--device", "cpu", *map(str, arguments)])


def sentence(result):
    """The error, without the box around it."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("name", ["out.mkv", "frames"])
def test_upscales(tmp_path, video, checkpoint, name):
    codec = ["--codec", "ffv1"] if name == "out.mkv" else []
    result = call(video, tmp_path / name, "--checkpoint", checkpoint, "--chunk", 2, *codec)
    assert result.exit_code == 0, result.output
    assert f"{name}: 5 frames of 64x48 at 12.5 fps" in result.stdout.replace("\n", "")
    high = np.array(list(read_frames(tmp_path / name))).astype(int)
    # An untrained Recurrent is bicubic upscaling.
    assert np.abs(high - bicubic_up(FRAMES)).max() <= 1


def test_a_folder_becomes_a_video_and_back(tmp_path, video, checkpoint):
    assert call(video, tmp_path / "frames", "--checkpoint", checkpoint).exit_code == 0
    assert call(tmp_path / "frames", tmp_path / "out.mp4", "--checkpoint", checkpoint).exit_code == 0
    facts = probe(tmp_path / "out.mp4")
    assert (facts.frames, facts.height, facts.width, facts.fps) == (5, 192, 256, 25)


def test_overwrite(tmp_path, video, checkpoint):
    assert call(video, tmp_path / "out.mkv", "--checkpoint", checkpoint).exit_code == 0
    before = (tmp_path / "out.mkv").stat().st_mtime_ns
    refused = call(video, tmp_path / "out.mkv", "--checkpoint", checkpoint)
    assert refused.exit_code == 1
    assert "exists already; choose another name or add --overwrite" in sentence(refused)
    assert (tmp_path / "out.mkv").stat().st_mtime_ns == before
    assert call(video, tmp_path / "out.mkv", "--checkpoint", checkpoint, "--overwrite").exit_code == 0
    assert (tmp_path / "out.mkv").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "none.mp4"}, "there is no video file or folder of frames at"),
        ({"source": "text.mp4"}, "expected a video at"),
        ({"target": "in.mkv", "options": ["--overwrite"]}, "is the input itself; choose another name"),
        ({"target": "out.gif"}, "must be a video"),
        ({"checkpoint": "none.safetensors"}, "can't be loaded"),
        ({"checkpoint": "text.mp4"}, "can't be loaded"),
        ({"options": ["--device", "toaster"]}, "device must be auto, cpu, cuda, cuda:N or mps"),
    ],
    ids=["missing", "no-video", "itself", "suffix", "no-checkpoint", "bad-checkpoint", "device"],
)
def test_refuses_in_one_sentence(tmp_path, video, checkpoint, changed, message):
    (tmp_path / "text.mp4").write_text("hello")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    names = {"source": video.name, "target": "out.mp4", "checkpoint": checkpoint.name} | changed
    result = call(
        tmp_path / names["source"],
        tmp_path / names["target"],
        "--checkpoint",
        tmp_path / names["checkpoint"],
        *changed.get("options", []),
    )
    assert result.exit_code == 1
    assert message in sentence(result)
    assert "Traceback" not in result.output
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
