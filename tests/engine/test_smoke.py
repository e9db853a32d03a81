"""A run from the command to its directory: complete, repeatable, comparable."""

import json
from importlib.metadata import version

import pytest
import yaml

from fedvsr_core.checkpoints.store import load_model
from server_app.checkpoints import load_round


def batches(run):
    rounds = run.trained().items()
    return {(number, row["client"]): row["batches"] for number, line in rounds for row in line["clients"]}


def test_a_run_leaves_all_that_is_needed_to_understand_it(uninterrupted):
    folder = uninterrupted.dir.path
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    crops = {name for name in found if name.startswith("crops/")}
    assert {"crops/truth.webp", "crops/newest.webp"} <= crops
    assert found - crops - {".lock"} == {
        ".id",
        "config.yaml",
        "provenance.json",
        "journal.jsonl",
        "run.log",
        "summary.md",
        "psnr.png",
        "losses.png",
        "weights.png",
        "crops.png",
        "crops",
        "report.html",
        "checkpoints",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        *(f"checkpoints/round-{number:04d}.safetensors" for number in (1, 2, 3)),
    }
    assert yaml.safe_load(uninterrupted.dir.config.read_text())["rounds"] == 3
    provenance = json.loads(uninterrupted.dir.provenance.read_text())
    assert provenance["seed"] == 0
    assert provenance["device"] == "cpu"
    assert provenance["versions"]["flwr"] == version("flwr")
    for name in ("psnr.png", "losses.png", "weights.png", "crops.png"):
        assert (uninterrupted.dir.path / name).read_bytes().startswith(b"\x89PNG"), name
    log = uninterrupted.dir.log.read_text()
    assert log.count(f"run directory: {uninterrupted.dir.path}") == 2  # at the start and at the end
    assert str(uninterrupted.dir.path) in uninterrupted.log()
    assert uninterrupted.dir.summary.read_text().startswith("# ")


def test_the_journal_has_a_line_per_phase_and_round(uninterrupted):
    lines = uninterrupted.lines()
    phases = [(line["phase"], line.get("round")) for line in lines]
    rounds = [(phase, number) for number in (1, 2, 3) for phase in ("train", "evaluate")]
    assert phases == [("start", None), ("evaluate", 0), *rounds, ("end", None)]
    assert lines[-1]["outcome"] == "completed"
    for line in uninterrupted.trained().values():
        assert [row["client"] for row in line["clients"]] == [f"partition-{number}" for number in range(4)]
        assert sum(row["weight"] for row in line["clients"]) == pytest.approx(1)
        assert line["refused"] == []
        assert not line["kept-model"]
        assert 0 <= line["hellinger"] <= 1
        assert 0 <= line["mixing"] <= 1
        assert line["bytes-up"] == line["bytes-down"] > 400_000
        assert line["server-memory-mb"] > 0
        for row in line["clients"]:
            assert row["loss"] == pytest.approx(sum(row["parts"].values()))
            assert set(row["parts"]) == {"charbonnier", "high-frequency"}
            assert row["seconds"] > 0
            assert row["peak-memory-mb"] > 0
    assert all(line["seconds"] > 0 for line in lines if line["phase"] in ("train", "evaluate"))


def test_checkpoints_hold_the_model_after_each_round(uninterrupted):
    folder = uninterrupted.dir.checkpoints
    kept = {number: load_round(folder / f"round-{number:04d}.safetensors") for number in (1, 2, 3)}
    assert [checkpoint.round for checkpoint in kept.values()] == [1, 2, 3]
    assert uninterrupted.checkpoint("round-0003.safetensors") == uninterrupted.checkpoint()
    assert any((kept[1].state[name] != kept[3].state[name]).any() for name in kept[1].state)
    assert load_model(folder / "best.safetensors") is not None


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_replies(federation, app, uninterrupted):
    three_workers = "num-supernodes=4 client-resources-num-cpus=1 init-args-num-cpus=3"
    again = federation.submit(app, federation=three_workers).finish()
    assert again.checkpoint() == uninterrupted.checkpoint()
    assert batches(again) == batches(uninterrupted)


@pytest.mark.slow
def test_fedavg_sees_the_same_clients_and_batches(federation, app, uninterrupted):
    fedavg = federation.submit(app, strategy="fedavg").finish()
    assert len(batches(fedavg)) == 12
    assert batches(fedavg) == batches(uninterrupted)
    assert fedavg.lines("start")[0]["strategy"] == "fedavg"
    assert {name for row in fedavg.trained()[1]["clients"] for name in row["parts"]} == {"charbonnier"}
    assert fedavg.checkpoint() != uninterrupted.checkpoint()
