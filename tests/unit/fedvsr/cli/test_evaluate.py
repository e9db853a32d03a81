"""Promises: one command scores a checkpoint, anyone's frames or bicubic, and leaves how it did beside."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.data.degradation import bd12, bicubic_down, bicubic_up
from fedvsr_core.metrics.niqe import niqe
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.metrics.vmaf import vmaf
from fedvsr_core.models.recurrent import Recurrent

SETTINGS = {"width": 4, "blocks": 1, "scale": 4}
NAMES = {"calendar": 3, "walk": 2}


def texture(seed, frames):
    """Smooth noise that moves to the right, of a size that isn't a multiple of 4."""
    wide = cv2.GaussianBlur(np.random.default_rng(seed).random((50, 90, 3)), (0, 0), 2)
    wide = np.uint8((wide - wide.min()) / (wide.max() - wide.min()) * 255)
    return np.stack([wide[:, 2 * t : 2 * t + 66] for t in range(frames)])


CLIPS = {name: texture(seed, frames) for seed, (name, frames) in enumerate(NAMES.items())}
CROPPED = {name: clip[:, :48, :64] for name, clip in CLIPS.items()}


def write_png(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        assert cv2.imwrite(str(folder / f"{number:08d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


def write_mkv(path, frames):
    path.parent.mkdir(exist_ok=True)
    size = frames.shape[2], frames.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 25, size)
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


@pytest.fixture
def data(tmp_path):
    """Two clips as Vid4 is usually kept: GT beside low-resolution frames."""
    for name, clip in CLIPS.items():
        write_png(tmp_path / "Vid4" / "GT" / name, clip)
        write_png(tmp_path / "Vid4" / "BDx4" / name, bd12(CROPPED[name]))
    return tmp_path / "Vid4"


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    target = f"{Recurrent.__module__}.{Recurrent.__qualname__}"
    save_model(path, Recurrent(**SETTINGS).state_dict(), {"_target_": target, **SETTINGS})
    return path


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDVSR_RUNS", str(tmp_path))

    def evaluate(*words, into="out"):
        words = ["evaluate", "--device", "cpu", "--output", str(tmp_path / into), *map(str, words)]
        return CliRunner().invoke(app, words)

    return evaluate


def scores(tmp_path, into="out"):
    return json.loads((tmp_path / into / "scores.json").read_text())


def sentence(result):
    """The error, without the box around it."""
    return " ".join(result.stderr.replace("│", " ").split())


def bicubic_scores(metric, channel, **options):
    clips = [
        metric(bicubic_up(bicubic_down(one)), one, channel=channel, **options) for one in CROPPED.values()
    ]
    return np.mean([one.mean() for one in clips])


def test_bicubic_by_a_published_protocol(call, data, tmp_path):
    result = call("--data", data, "--protocol", "vid4-y")
    assert result.exit_code == 0, result.output
    found = scores(tmp_path)
    mean = found["scores"]["bicubic"]["mean"]
    assert mean["psnr-y"] == pytest.approx(bicubic_scores(psnr, "y"))
    assert mean["ssim-y"] == pytest.approx(bicubic_scores(ssim, "y"))
    assert set(mean) == {"psnr-y", "ssim-y"}
    assert found["protocol"]["name"] == "vid4-y"
    assert found["about"]["frames"] == 5
    assert "vid4-y (PSNR-Y, SSIM-Y; all frames; border 0; mean of frames, then of clips;" in result.stdout
    assert f"| bicubic | {mean['psnr-y']:.3f} | {mean['ssim-y']:.4f} |" in result.stdout
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"scores.json", "scores.csv", "scores.md", "psnr-y.png", "ssim-y.png"}
    assert (tmp_path / "out" / "psnr-y.png").read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_beside_bicubic(call, data, checkpoint, tmp_path):
    words = [
        "--data",
        data,
        "--protocol",
        "vid4-rgb",
        "--checkpoint",
        checkpoint,
        "--metrics",
        "vmaf,warping",
    ]
    result = call(*words, "--tile", 12, "--tile-overlap", 4, "--chunk", 2)
    assert result.exit_code == 0, result.output
    found = scores(tmp_path)
    assert list(found["scores"]) == ["bicubic", "model"]
    ours = found["scores"]["model"]["mean"]
    # An untrained Recurrent is bicubic upscaling.
    assert ours["psnr-rgb"] == pytest.approx(bicubic_scores(psnr, "rgb"), abs=0.02)
    assert set(ours) == {"psnr-rgb", "ssim-rgb", "vmaf", "warping", "warping-truth"}
    about = found["about"]
    assert about["inference"] == (
        "2 frames at once with 4 more on either side, tiles of 12 pixels, overlap 4"
    )
    assert about["model"] == "Recurrent, scale 4"
    assert len(about["checkpoint's sha256"]) == 64
    assert about["made by"]["vmaf"].startswith("vmaf_v0.6.1, yuv420p, BT.601, limited range, libvmaf ")
    walk = found["scores"]["bicubic"]["clips"]["walk"]
    expected = vmaf(bicubic_up(bicubic_down(CROPPED["walk"])), CROPPED["walk"]).per_frame
    assert walk["frames"]["vmaf"] == pytest.approx(expected)
    assert len(walk["frames"]["warping"]) == 1


def test_the_csv_has_every_frame_and_mean(call, data, tmp_path):
    assert call("--data", data, "--metrics", "warping").exit_code == 0
    with (tmp_path / "out" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["clip"], row["frame"]) for row in rows] == [
        ("calendar", "0"), ("calendar", "1"), ("calendar", "2"), ("calendar", "mean"),
        ("walk", "0"), ("walk", "1"), ("walk", "mean"), ("all clips", "mean"),
    ]  # fmt: skip
    mean = np.mean([float(row["psnr-y"]) for row in rows[:3]])
    assert float(rows[3]["psnr-y"]) == pytest.approx(mean)
    assert (rows[1]["warping"] != "", rows[2]["warping"]) == (True, "")


@pytest.mark.parametrize("kind", ["folders", "videos"])
def test_what_others_have_upscaled(call, data, tmp_path, kind):
    for name, clip in CROPPED.items():
        if kind == "folders":
            write_png(tmp_path / "theirs" / name, clip // 2)
        else:
            (tmp_path / "theirs").mkdir(exist_ok=True)
            write_mkv(tmp_path / "theirs" / f"{name}.mkv", clip // 2)
    result = call("--data", data, "--upscaled", tmp_path / "theirs", "--no-bicubic", "--protocol", "vid4-rgb")
    assert result.exit_code == 0, result.output
    found = scores(tmp_path)["scores"]
    expected = np.mean([psnr(clip // 2, clip).mean() for clip in CROPPED.values()])
    assert list(found) == ["upscaled"]
    assert found["upscaled"]["mean"]["psnr-rgb"] == pytest.approx(expected)


def test_one_video_against_another(call, tmp_path):
    write_mkv(tmp_path / "truth.mkv", CROPPED["walk"])
    write_mkv(tmp_path / "by-someone.mkv", CROPPED["walk"])
    result = call("--data", tmp_path / "truth.mkv", "--upscaled", tmp_path / "by-someone.mkv")
    assert result.exit_code == 0, result.output
    perfect = scores(tmp_path)["scores"]["upscaled"]["mean"]
    assert (perfect["psnr-y"], perfect["ssim-y"]) == ("inf", 1.0)
    assert perfect["left-out"] == {"psnr-y": 1, "psnr-rgb": 1}  # the clip, whose frames are all infinite
    assert "Left out of means, since they aren't finite: upscaled: 2 PSNR-Y of truth" in result.stdout


def test_without_ground_truth(call, tmp_path):
    natural = np.load(Path(__file__).parents[3] / "golden" / "metrics" / "niqe.npz")["natural"]
    for name, frames in {"a": 2, "b": 1}.items():
        write_mkv(tmp_path / "theirs" / f"{name}.mkv", np.stack([natural] * frames))
    result = call("--upscaled", tmp_path / "theirs", "--metrics", "niqe")
    assert result.exit_code == 0, result.output
    found = scores(tmp_path)
    assert list(found["scores"]) == ["upscaled"]
    assert found["scores"]["upscaled"]["mean"] == {"niqe": pytest.approx(niqe(natural))}
    assert found["about"]["data"] is found["about"]["low-resolution frames"] is None
    assert "| upscaled |" in result.stdout
    for words, got in [
        (["--upscaled", tmp_path / "theirs", "--metrics", "niqe,lpips,vmaf"], "; got lpips, vmaf"),
        (["--upscaled", tmp_path / "theirs"], ""),
        (["--metrics", "niqe"], ""),
    ]:
        refused = call(*words, into="other")
        message = (
            f"without --data, give --upscaled and --metrics that need no ground truth, such as niqe{got}"
        )
        assert message in sentence(refused)


def test_low_frames_that_came_with_the_data(call, data, tmp_path):
    words = ["--data", data, "--protocol", "udm10-y"]
    assert call(*words, "--low-frames", data / "BDx4", into="given").exit_code == 0
    expected = np.mean([psnr(bicubic_up(bd12(one)), one, channel="y").mean() for one in CROPPED.values()])
    assert scores(tmp_path, "given")["scores"]["bicubic"]["mean"]["psnr-y"] == pytest.approx(expected)
    assert scores(tmp_path, "given")["about"]["low-resolution frames"] == f"{data / 'BDx4'}, said to be bd12"


def test_low_frames_are_made_as_the_protocol_says(call, data, tmp_path):
    assert call("--data", data, "--protocol", "udm10-y").exit_code == 0
    expected = np.mean([psnr(bicubic_up(bd12(one)), one, channel="y").mean() for one in CROPPED.values()])
    assert scores(tmp_path)["scores"]["bicubic"]["mean"]["psnr-y"] == pytest.approx(expected)
    assert scores(tmp_path)["about"]["low-resolution frames"] == "made by bd12"


def test_reds4_and_its_published_low_frames(call, tmp_path):
    high = np.random.default_rng(0).integers(0, 256, (100, 16, 20, 3), dtype=np.uint8)
    for clip in ("000", "001"):
        write_png(tmp_path / "REDS" / "train_sharp" / clip, high)
        write_png(tmp_path / "REDS" / "train_sharp_bicubic" / "X4" / clip, np.zeros((100, 4, 5, 3), np.uint8))
    for protocol, low, expected in [
        ("reds4-rgb", "bi: those that came with the data for 1 of 1 clips", np.zeros_like(high)),
        ("udm10-y", "made by bd12", bicubic_up(bd12(high))),
    ]:
        result = call("--data", tmp_path / "REDS", "--protocol", protocol, into=protocol)
        assert result.exit_code == 0, result.output
        found = scores(tmp_path, protocol)
        assert found["about"]["low-resolution frames"] == low
        assert list(found["scores"]["bicubic"]["clips"]) == ["000"]
        channel = protocol.rpartition("-")[2]
        mean = psnr(expected, high, channel=channel).mean()
        assert found["scores"]["bicubic"]["mean"][f"psnr-{channel}"] == pytest.approx(mean)


def test_a_protocol_of_ones_own(call, data, tmp_path):
    own = tmp_path / "duf.yaml"
    own.write_text(
        "_target_: fedvsr_core.metrics.protocol.Protocol\nname: duf\nmetrics: [psnr-y]\nborder: 8\n"
        "frames: all\nskip: 0\naveraging: frames\nlow: bi\n"
    )
    assert call("--data", data, "--protocol", own).exit_code == 0
    frames = [
        value
        for one in CROPPED.values()
        for value in psnr(bicubic_up(bicubic_down(one)), one, channel="y", border=8)
    ]
    assert scores(tmp_path)["scores"]["bicubic"]["mean"]["psnr-y"] == pytest.approx(np.mean(frames))
    own.write_text("_target_: fedvsr_core.metrics.protocol.Protocol\nname: duf\nbordr: 8\n")
    refused = call("--data", data, "--protocol", own, into="other")
    assert "duf.yaml.bordr" in sentence(refused)
    assert "did you mean 'border'?" in sentence(refused)


def test_only_scores_of_one_protocol_stand_beside_each_other(call, data, checkpoint, tmp_path):
    assert call("--data", data, "--protocol", "vid4-y", "--checkpoint", checkpoint, into="y").exit_code == 0
    again = call("--data", data, "--protocol", "vid4-y", "--beside", tmp_path / "y", into="y2")
    assert again.exit_code == 0, again.output
    assert "| model (beside) |" in again.stdout
    refused = call("--data", data, "--protocol", "vid4-rgb", "--beside", tmp_path / "y", into="rgb")
    assert refused.exit_code == 1
    assert "scores of protocol 'vid4-rgb' don't compare with those of 'vid4-y'" in sentence(refused)
    assert not (tmp_path / "rgb").exists()
    one = call("--data", data / "GT" / "walk", "--protocol", "vid4-y", "--beside", tmp_path / "y", into="w")
    assert "scores on other clips don't compare" in sentence(one)


def test_a_dataset_by_its_name(call, tmp_path):
    result = call("--data", "synthetic", "--protocol", "vimeo-y-centre")
    assert result.exit_code == 0, result.output
    clips = scores(tmp_path)["scores"]["bicubic"]["clips"]
    assert len(clips) == 2
    assert {(one["first-frame"], len(one["frames"]["psnr-y"])) for one in clips.values()} == {(8, 1)}


def test_former_results_stay_unless_told_otherwise(call, data, tmp_path):
    assert call("--data", data).exit_code == 0
    refused = call("--data", data)
    assert (refused.exit_code, "holds scores already" in sentence(refused)) == (1, True)
    assert call("--data", data, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "'nowhere' is neither a file nor a folder nor the name of a dataset"),
        (["--data", "{data}", "--protocol", "vid4"], "there is no protocol 'vid4'; did you mean 'vid4-"),
        (["--data", "{data}", "--low", "bix"], "there is no degradation 'bix'"),
        (["--data", "{data}", "--metrics", "lpisp"], "metric 'lpisp' is unknown; did you mean 'lpips'?"),
        (["--data", "{data}", "--no-bicubic"], "nothing is to be scored; give --checkpoint or --upscaled"),
        (
            ["--data", "{data}", "--checkpoint", "{model}", "--scale", "2"],
            "model upscales by 4, --scale says 2",
        ),
        (
            ["--data", "{data}", "--upscaled", "{data}/BDx4/walk"],
            "lacks 1 of 2 clips: calendar; expected a video or a folder",
        ),
        (["--data", "{data}", "--upscaled", "{data}/BDx4"], "frame 0 of upscaled must be 64x48"),
        (["--data", "{data}", "--tile", "20"], "a tile must be larger than two overlaps, got tile 20"),
    ],
)
def test_refuses(call, data, checkpoint, words, message, tmp_path):
    result = call(*[word.format(data=data, model=checkpoint) for word in words])
    assert result.exit_code == 1
    assert message in sentence(result)
    assert not (tmp_path / "out").exists()


def test_a_metric_that_is_not_installed_fails_before_anything_is_read(call, data, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("FEDVSR_LPIPS_ALEX", raising=False)
    result = call("--data", "nowhere", "--metrics", "lpips")
    assert result.exit_code == 1
    assert "LPIPS (alex) needs torchvision's ImageNet weights of alexnet, found none" in sentence(result)
