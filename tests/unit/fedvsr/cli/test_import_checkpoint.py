"""Promises: checkpoints of all families become ours; what doesn't fit is named, and nothing written."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr_core.checkpoints.pretrained import load_flow, sha256_of
from fedvsr_core.checkpoints.store import load_model, read
from fedvsr_core.models.basicvsr import BasicVSR

GOLDEN = Path(__file__).parents[3] / "golden" / "models"


def call(*arguments):
    return CliRunner().invoke(app, ["import-checkpoint", *map(str, arguments)])


def sentence(result):
    """The error, without the box around it."""
    return " ".join(result.stderr.replace("│", " ").split())


def published(model):
    """Weights as they are published, made of the list of their names and shapes."""
    keys = json.loads((GOLDEN / f"{model}_keys.json").read_text())
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.randint(9, shape, generator=generator)
        if "_index" in name or "_idx_" in name
        else torch.randn(shape, generator=generator)
        for name, shape in keys["state_dict"]
    }
    return {
        "basicsr": {"params": state},
        "average": {"params": {}, "params_ema": {f"module.{name}": one for name, one in state.items()}},
        "mmagic": {
            "meta": {"mmcv_version": "1.7"},
            "state_dict": {
                f"generator.{name}": one
                for name, one in zip(keys.get("mmagic", state), state.values(), strict=True)
            }
            | {"step_counter": torch.zeros(1)},
        },
    }, state


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("basicvsr", "basicsr"),
        ("basicvsr", "average"),
        ("basicvsr", "mmagic"),
        ("basicvsrpp", "mmagic"),
        ("iart", "basicsr"),
    ],
)
def test_all_families(model, family, tmp_path):
    contents, state = published(model)
    torch.save(contents[family], tmp_path / "in.pth")
    result = call(tmp_path / "in.pth", "--model", model)
    assert result.exit_code == 0, result.output
    loaded = load_model(tmp_path / "in.safetensors").state_dict()
    assert all(torch.equal(loaded[name], one) for name, one in state.items())
    said = " ".join(result.stdout.split())
    assert f"'{model}', {len(state)} tensors" in said
    assert f"sha256 {sha256_of(tmp_path / 'in.safetensors')}" in said
    assert ("MIT" if model == "iart" else "Apache-2.0") in said
    assert read(tmp_path / "in.safetensors").facts["source"] == "in.pth"


def test_spynet_alone(tmp_path):
    _, state = published("basicvsr")
    inner = {name[7:]: one for name, one in state.items() if name.startswith("spynet.basic_module")}
    torch.save({"params": inner}, tmp_path / "spynet.pth")
    result = call(tmp_path / "spynet.pth", "--model", "spynet", "--output", tmp_path / "out.safetensors")
    assert result.exit_code == 0, result.output
    model = BasicVSR(num_feat=4, num_block=1)
    load_flow(model, tmp_path / "out.safetensors")
    own = model.spynet.state_dict()
    assert len(inner) == 60
    assert all(torch.equal(own[name], one) for name, one in inner.items())


def test_another_size_by_overrides(tmp_path):
    network = BasicVSR(num_feat=64, num_block=1)
    torch.save({"params": network.state_dict()}, tmp_path / "in.pth")
    assert call(tmp_path / "in.pth", "--model", "basicvsr", "--overrides", "model.num_block=1").exit_code == 0
    assert load_model(tmp_path / "in.safetensors").state_dict().keys() == network.state_dict().keys()


def test_what_does_not_fit_is_named_and_nothing_is_written(tmp_path):
    weights = BasicVSR(num_feat=8, num_block=1).state_dict()
    weights["fusion.extra"] = weights.pop("fusion.bias")
    torch.save({"params": weights}, tmp_path / "in.pth")
    result = call(tmp_path / "in.pth", "--model", "basicvsr_small")
    assert result.exit_code == 1
    assert "there are fusion.bias missing; fusion.extra unexpected" in sentence(result)
    assert [path.name for path in tmp_path.iterdir()] == ["in.pth"]


def test_an_output_that_is_there(tmp_path):
    torch.save({"params": BasicVSR(num_feat=8, num_block=1).state_dict()}, tmp_path / "in.pth")
    (tmp_path / "in.safetensors").write_text("mine")
    result = call(tmp_path / "in.pth", "--model", "basicvsr_small")
    assert result.exit_code == 1
    assert "exists already; add --overwrite" in sentence(result)
    assert (tmp_path / "in.safetensors").read_text() == "mine"
    assert call(tmp_path / "in.pth", "--model", "basicvsr_small", "--overwrite").exit_code == 0


def test_no_such_model(tmp_path):
    torch.save({}, tmp_path / "in.pth")
    result = call(tmp_path / "in.pth", "--model", "basicvsrr")
    assert result.exit_code == 1
    assert "did you mean 'basicvsr" in sentence(result)


def test_no_such_folder(tmp_path):
    result = call(tmp_path / "in.pth", "--model", "spynet", "--output", tmp_path / "no" / "out.safetensors")
    assert result.exit_code == 1
    assert "there is no folder" in sentence(result)
