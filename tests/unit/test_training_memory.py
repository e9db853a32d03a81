"""Promises: what a step keeps is found without computing it, and the presets by GPU size follow from that."""

import re
from pathlib import Path

import pytest
import torch

from benchmarks.training_memory import kept_bytes, kept_gb, largest_batch
from fedvsr_core.components import build
from server_app.config import compose, options

DOCS = Path(__file__).parents[2] / "docs" / "models.md"
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| ([\d.]+) GB \| [\d.]+ GB \| [\d.]+ GB \|$", re.MULTILINE)
KEPT = {(model, int(frames)): float(kept) for model, frames, kept in ROW.findall(DOCS.read_text())}
"""Of one checkpointed clip with patches of 64, as docs/models.md has it."""
PARAMETERS = {"vrt": 30_676_435, "vrt_16": 35_134_783, "rvrt": 10_782_295}
MOST = {"rvrt": 8}
"""The paper's own batch, beyond which no preset goes."""
PRESETS = [name for name in options("experiment") if name.endswith("gb")]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("model", "overrides", "frames"),
    [("recurrent", "model.width=4 model.blocks=1", 5), ("rvrt", "model.embed_dims=[12,12,12]", 2)],
)
def test_it_equals_what_a_real_step_keeps(model, overrides, frames, checkpointing):
    network = build(compose({"model": model, "overrides": overrides}).model).train()
    network.checkpointing = checkpointing
    own = [*network.parameters(), *network.buffers()]
    clip = torch.rand(1, frames, 3, 16, 16)
    assert kept_gb(network, frames, 16) * 1e9 == kept_bytes(lambda: network(clip), own) > 0


def test_a_batch_by_hand():
    # 0.85 of 16 GB are 13.6; 16 bytes for each of 100 million parameters leave 12; a clip takes 2 + 1.
    assert largest_batch("vrt", 16, parameters=10**8, kept=2.0) == 4
    assert largest_batch("vrt", 16, parameters=10**8, kept=11.1) == 0


def test_docs_have_the_estimates():
    assert {("vrt", 6), ("vrt_16", 16), ("rvrt", 14), ("rvrt", 30)} <= set(KEPT)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_what_its_gpu_has_room_for(name):
    settings = compose({"experiment": name})
    model, card = settings.names["model"], int(re.search(r"_(\d+)gb", name)[1])
    most = largest_batch(
        model, card, parameters=PARAMETERS[model], kept=KEPT[model, settings.training.window]
    )
    assert settings.training.batch == min(most, MOST.get(model, most))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "frames"), [("vrt", 6), ("rvrt", 14)])
def test_the_estimates_of_docs_are_the_functions(model, frames):
    network = build(compose({"model": model}).model).train()
    network.checkpointing = True
    assert sum(one.numel() for one in network.parameters()) == PARAMETERS[model]
    assert kept_gb(network, frames, 64) == pytest.approx(KEPT[model, frames], abs=0.05)
