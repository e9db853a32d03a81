"""Promises: ONNX gives the frames that torch gives, at two sizes; what it can't hold is refused by name."""

import pytest
import torch
from torch import Tensor

from fedvsr.publishing import onnx_export
from fedvsr.publishing.onnx_export import export_onnx
from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, MissingToolError
from fedvsr_core.models.contract import VideoModel
from server_app.config import compose


class Sorting(VideoModel):
    """A network with an operator that ONNX lacks."""

    def restore(self, low: Tensor) -> Tensor:
        values = torch.linalg.svdvals(low)
        return torch.nn.functional.interpolate(low[0], scale_factor=4)[None] * values.mean()


def network(**choices):
    torch.manual_seed(0)
    model = build(compose(choices or {"overrides": "model.width=4 model.blocks=1"}).model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model


@pytest.mark.long
def test_the_default_network_is_the_same(tmp_path):
    pytest.importorskip("onnxruntime")
    assert export_onnx(network(), tmp_path / "model.onnx", frames=2) < 1e-4
    assert (tmp_path / "model.onnx").stat().st_size > 1000


@pytest.mark.long
@pytest.mark.parametrize("name", ["basicvsr_small", "basicvsrpp_small"])
def test_networks_with_optical_flow_are_the_same(tmp_path, name):
    pytest.importorskip("onnxruntime")
    assert export_onnx(network(model=name), tmp_path / "model.onnx", frames=2) < 1e-4


@pytest.mark.long
def test_what_onnx_lacks_is_refused_by_name(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigurationError, match="Sorting can't be written as ONNX"):
        export_onnx(Sorting().eval(), tmp_path / "model.onnx", frames=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["vrt_small", "rvrt_small", "iart_small"])
def test_attention_in_windows_is_refused_at_once(tmp_path, monkeypatch, name):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: name)
    with pytest.raises(ConfigurationError, match=r"can't be written as ONNX with its attention in windows"):
        export_onnx(build(compose({"model": name}).model), tmp_path / "model.onnx", frames=2)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(
        MissingToolError, match=r"onnx, onnxruntime, onnxscript: pip install 'fedvsr\[onnx\]'"
    ):
        export_onnx(network(), tmp_path / "model.onnx", frames=2)
