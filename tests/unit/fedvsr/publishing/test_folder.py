"""Promises: a published folder has all that others need, nothing else of the run, and loads back."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr.publishing.folder import weights_file
from fedvsr.publishing.model_card import is_medical
from fedvsr_core.checkpoints.store import load_model, read
from fedvsr_core.components import build
from server_app.checkpoints import TrainingCheckpoint, save_round
from server_app.config import compose, save
from tests.pages import draw_crops, long_journal, run_with

ROOT = Path(__file__).parents[4]
TINY = "model.width=4 model.blocks=1"


@pytest.fixture
def run(tmp_path):
    """A run of two rounds with a checkpoint that holds more than the model."""
    lines = long_journal(2, 3)
    clients = [
        {"client": f"secret-{n}", "clips": 1, "frames": 5, "seconds": 1.0, "psnr-y": 25.0 + n}
        for n in range(3)
    ]
    own = {"phase": "evaluate-clients", "round": 2, "seconds": 1.0, "protocol": {"metrics": ["psnr-y"]},
           "psnr-y": 26.0, "bicubic": {"psnr-y": 24.0}, "clips": 3, "clients": clients}  # fmt: skip
    run = run_with(tmp_path, [*lines[:-1], own, lines[-1]])
    settings = compose({"data": "synthetic", "overrides": f"{TINY} rounds=2"})
    save(settings, run.config)
    torch.manual_seed(0)
    model = build(settings.model)
    history = {"norms": {}, "counted": {"secret-0": 2}}
    checkpoint = TrainingCheckpoint(
        2, model.state_dict(), settings.model, {"momentum": np.ones(3, np.float32)}, history, 29.0
    )
    save_round(run.checkpoints, checkpoint, keep=0)
    draw_crops(run, (0, 2))
    return run


def publish(run, folder, *options):
    return CliRunner().invoke(app, ["publish", str(run.path), str(folder), *options])


def test_what_is_in_it(run, tmp_path):
    folder = tmp_path / "model"
    done = publish(run, folder, "--licence", "cc-by-4.0")
    assert done.exit_code == 0, (done.output, done.exception)
    names = {"model.safetensors", "config.json", "README.md", "crops.png", "SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == names
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert json.loads((folder / "config.json").read_text())["scale"] == 4
    card = (folder / "README.md").read_text()
    assert card.startswith('---\nlicense: "cc-by-4.0"\n')
    assert "| PSNR-Y (dB) | 28.000 | 28.750 | +0.750 |" in card
    assert "3 clients measured a PSNR-Y of 25.000 dB to 27.000 dB, median 26.000 dB" in card
    assert "diagnosis" not in card


def test_nothing_else_of_the_run_is_in_it(run, tmp_path):
    folder = tmp_path / "model"
    publish(run, folder)
    file = read(folder / "model.safetensors")
    assert file.extra == {}
    assert file.facts == {"round": "2"}
    for path in folder.iterdir():
        assert b"secret" not in path.read_bytes()
        assert b"site-" not in path.read_bytes()


def test_it_loads_back(run, tmp_path):
    folder = tmp_path / "model"
    publish(run, folder)
    ours, theirs = load_model(run.checkpoints / "best.safetensors"), load_model(weights_file(folder))
    for name, values in ours.state_dict().items():
        assert torch.equal(values, theirs.state_dict()[name])
    assert weights_file(run.checkpoints / "best.safetensors").name == "best.safetensors"


@pytest.mark.slow
def test_its_own_five_lines_work_in_a_fresh_interpreter(run, tmp_path):
    folder = tmp_path / "model"
    publish(run, folder)
    (lines,) = re.findall("```python\n(.*?)\n```", (folder / "README.md").read_text(), re.S)
    assert len(lines.splitlines()) == 5
    done = subprocess.run(
        [sys.executable, "-c", f"{lines}\nprint(tuple(high.shape))"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "(1, 5, 3, 256, 256)"


def test_a_video_is_upscaled_by_the_folder(run, tmp_path):
    folder, frames = tmp_path / "model", tmp_path / "in"
    publish(run, folder)
    frames.mkdir()
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(frames / f"{number}.png"), image)
    words = ["upscale", str(frames), str(tmp_path / "out"), "--checkpoint", str(folder), "--device", "cpu"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    written = sorted((tmp_path / "out").glob("*.png"))
    assert [cv2.imread(str(path)).shape for path in written] == [(48, 64, 3)] * 3


def test_data_that_says_medical_is_enough():
    assert is_medical(compose({"data": "videos", "overrides": "data.folder=/sites/endoscopy"}))
    assert not is_medical(compose({"data": "sample"}))


def test_medical_video_is_said_and_not_shown(run, tmp_path):
    folder = tmp_path / "model"
    publish(run, folder, "--medical")
    assert "**Not for diagnosis.**" in (folder / "README.md").read_text()
    assert not (folder / "crops.png").exists()


def test_crops_of_another_round_are_not_shown_as_this_models(run, tmp_path):
    for path in run.crop_series.glob("round-00002.*"):
        path.unlink()
    publish(run, tmp_path / "model")
    assert not (tmp_path / "model" / "crops.png").exists()
    assert "crops.png" not in (tmp_path / "model" / "README.md").read_text()


def test_few_sites_have_no_spread(run, tmp_path):
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    lines[-2]["clients"] = lines[-2]["clients"][:2]
    run.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    publish(run, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Fewer than 3 clients scored the model" in card
    assert "25.000" not in card


def test_a_folder_that_holds_something_is_refused(run, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("x")
    done = publish(run, tmp_path / "model")
    assert done.exit_code == 1
    assert "must be an empty folder" in " ".join(done.output.replace("│", " ").split())
