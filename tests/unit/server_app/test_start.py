"""Promises: a federation starts from given weights everywhere, and its flow network learns when it's due."""

import pytest
import torch
from flwr.app import Context, RecordDict

from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.components import build
from fedvsr_core.errors import CheckpointError, FederationError
from fedvsr_core.layers.spynet import SpyNet
from server_app.app import app
from server_app.checkpoints import load_round
from server_app.config import compose
from server_app.records.journal import read_journal

TINY = (
    "model.num_feat=4 data.clips=2 data.held_out_clips=1 data.frames=4 data.height=8 data.width=8"
    " partition.min_frames=2 partition.min_size=16 training.steps=2 training.batch=1 training.window=2"
    " training.patch=4 rounds=3 evaluation.every=3"
)


@pytest.fixture
def run(tmp_path, client_grid):
    """Runs a federation of two; returns its run directory."""

    def go(overrides="", change=lambda grid: None, strategy="fedvsr"):
        root = tmp_path / "runs"
        grid = client_grid(2)
        change(grid)
        run_config = {
            "data": "synthetic",
            "model": "basicvsr_small",
            "strategy": strategy,
            "overrides": f"{TINY} run.root={root} {overrides}",
        }
        app(grid, Context(1, 1, {}, RecordDict(), run_config))
        (folder,) = root.iterdir()
        return folder

    return go


def spynet_of(folder, name):
    state = load_round(folder / "checkpoints" / name).state
    return torch.cat([one.flatten() for key, one in state.items() if key.startswith("spynet.b")])


def test_the_flow_network_learns_from_a_step_on_that_is_counted_over_rounds(run):
    # Two steps a round: frozen in round 1; the third step of all, the first of round 2, is frozen, too.
    folder = run("flow.frozen_steps=3 flow.step_size=0.5 evaluation.clients=1 run.keep=4")
    start, first, second, third = (spynet_of(folder, f"round-000{number}.safetensors") for number in range(4))
    assert torch.equal(start, first)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    sizes = {
        line["round"]: (line["bytes-down"], line["bytes-up"])
        for line in read_journal(folder / "journal.jsonl")
        if line["phase"] == "train"
    }
    saved = [early - late for early, late in zip(sizes[2], sizes[1], strict=True)]
    assert all(2 * 4 * 1_440_300 < size < 2 * 4 * 1_450_000 for size in saved)
    assert sizes[2] == sizes[3]


def test_a_run_starts_from_files(run, tmp_path):
    torch.manual_seed(3)
    flow = SpyNet()
    torch.save({"params": dict(flow.state_dict())}, tmp_path / "spynet.pth")
    settings = compose({"model": "basicvsr_small", "overrides": "model.num_feat=4"}).model
    save_model(tmp_path / "start.safetensors", build(settings).state_dict(), settings)
    folder = run(
        f"start.weights={tmp_path}/start.safetensors flow.weights={tmp_path}/spynet.pth flow.frozen_steps=6"
    )
    expected = torch.cat([one.flatten() for one in flow.parameters()])
    assert torch.equal(spynet_of(folder, "last.safetensors").sort().values, expected.sort().values)
    refused = [line["refused"] for line in read_journal(folder / "journal.jsonl") if line["phase"] == "train"]
    assert refused == [[], [], []]


def test_a_site_without_the_file_or_with_another_one_is_told(run, tmp_path, caplog):
    torch.save({"params": dict(SpyNet().state_dict())}, tmp_path / "spynet.pth")
    (tmp_path / "site").mkdir()
    torch.save({"params": dict(SpyNet().state_dict())}, tmp_path / "site" / "spynet.pth")

    def at_sites(grid):
        for config, folder in zip(grid._config.values(), ("site", "nowhere"), strict=True):
            config["weights-dir"] = str(tmp_path / folder)
        original = grid.push_messages

        def push(messages):
            (tmp_path / "spynet.pth").unlink(missing_ok=True)  # the server has read it; no site has it
            return original(messages)

        grid.push_messages = push

    with pytest.raises(FederationError):
        run(f"flow.weights={tmp_path}/spynet.pth flow.frozen_steps=6 rounds=1", at_sites)
    (folder,) = (tmp_path / "runs").iterdir()
    lines = [line for line in read_journal(folder / "journal.jsonl") if line["phase"] == "train"]
    reasons = {one["client"]: one["reason"] for one in lines[0]["refused"]}
    why = "it declines: it lacks the files of weights that the run starts from, or has others; give all sites"
    assert all(reason.startswith(why) for reason in reasons.values())
    told = [record.getMessage() for record in caplog.records if record.name.startswith("client_app")]
    assert "the weights that don't travel aren't the server's; give all sites the same" in told[0]
    assert f"no file of weights at '{tmp_path}/spynet.pth' on this machine" in told[1]


def test_the_server_without_the_file(run):
    with pytest.raises(CheckpointError, match=r"no file of weights at '/nowhere/spynet\.pth'"):
        run("flow.weights=/nowhere/spynet.pth")


def test_a_frozen_flow_network_of_random_weights_is_warned_of(run, caplog):
    run("flow.frozen_steps=5 rounds=1")
    assert (
        "the flow network has random weights, and keeps them for 5 steps; give flow.weights"
        in caplog.messages
    )
