"""Promises: weights from a path or a URL, checked; and only where they belong."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from fedvsr_core.checkpoints.pretrained import fetch, load_flow, load_network
from fedvsr_core.errors import CheckpointError, ConfigurationError
from fedvsr_core.layers.spynet import SpyNet
from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.models.recurrent import Recurrent

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "site" / "weights.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def url(file, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "cache"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    handler = partial(SimpleHTTPRequestHandler, directory=str(file.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/weights.pth"
        server.shutdown()


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256.upper()])
def test_a_path(file, sha256):
    assert fetch(str(file), sha256) == file


def test_a_url_is_downloaded_once(url, file):
    path = fetch(url, SHA256)
    assert path.read_bytes() == CONTENT
    file.unlink()
    assert fetch(url, SHA256) == path


def test_a_url_with_other_content(url):
    with pytest.raises(CheckpointError, match=f"doesn't have the sha256 {'0' * 64}"):
        fetch(url, "0" * 64)


def test_a_url_that_is_not_there(url):
    with pytest.raises(CheckpointError, match=r"weights\.pth\.gone' can't be downloaded: HTTP Error 404"):
        fetch(f"{url}.gone", SHA256)


def test_a_url_without_a_checksum(url):
    with pytest.raises(ConfigurationError, match="is a URL and needs the sha256 of the file"):
        fetch(url, None)


def test_a_site_keeps_its_own(file):
    assert fetch("/nowhere/weights.pth", SHA256, file.parent) == file
    assert fetch("https://nowhere.invalid/weights.pth", SHA256, file.parent) == file


def test_a_site_without_the_file(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"^no file of weights at '/nowhere/weights.pth' on this machine; copy"
    ):
        fetch("/nowhere/weights.pth", None, tmp_path)


def test_another_file_than_was_meant(file):
    with pytest.raises(
        CheckpointError, match=f"must have the sha256 {'0' * 64}, got {SHA256}; it is another"
    ):
        fetch(str(file), "0" * 64)


@pytest.fixture
def spynet():
    torch.manual_seed(1)
    return SpyNet()


def test_spynet_alone_lacks_its_constants(spynet, tmp_path):
    weights = dict(spynet.named_parameters())
    torch.save(
        {"params": {name: tensor.detach() for name, tensor in weights.items()}}, tmp_path / "spynet.pth"
    )
    model = BasicVSR(num_feat=4, num_block=1)
    load_flow(model, tmp_path / "spynet.pth")
    assert all(torch.equal(parameter, weights[name]) for name, parameter in model.spynet.named_parameters())


def test_spynet_of_a_network(tmp_path):
    source, network = (BasicVSR(num_feat=width, num_block=1) for width in (4, 5))
    torch.save(
        {"state_dict": {f"generator.{name}": x for name, x in source.state_dict().items()}},
        tmp_path / "w.pth",
    )
    load_flow(network, tmp_path / "w.pth")
    name = "basic_module.5.basic_module.8.weight"
    assert torch.equal(network.spynet.state_dict()[name], source.spynet.state_dict()[name])


def test_a_network_without_flow(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"^Recurrent has no flow network; leave flow\.weights empty"
    ):
        load_flow(Recurrent(width=4, blocks=1, scale=4), tmp_path)


def test_weights_of_another_network(spynet, tmp_path):
    torch.save(spynet.state_dict(), tmp_path / "spynet.pth")
    with pytest.raises(
        CheckpointError, match=r"^'.*spynet\.pth': the weights must fit .* conv_last\.bias missing;"
    ):
        load_network(BasicVSR(num_feat=4, num_block=1), tmp_path / "spynet.pth")
