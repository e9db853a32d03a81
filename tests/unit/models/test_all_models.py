"""Promises: what every network of conf/model keeps, whoever wrote it."""

import copy

import pytest
import torch

from fedvsr_core.checkpoints.pretrained import load_network
from fedvsr_core.checkpoints.store import load_model, save_model
from fedvsr_core.components import build
from fedvsr_core.models.contract import VideoModel
from server_app.config import compose, options

MODELS = options("model")
SMALL = [name for name in MODELS if name.endswith("_small") or f"{name.split('_')[0]}_small" not in MODELS]
"""What a test can compute with; networks of the published size have the same code."""


def settings(name):
    return compose({"model": name}).model


def clip(*shape, seed=0, dtype=torch.float32):
    """Smooth in space, and moving: flows stay small."""
    coarse = torch.rand((*shape[:2], 3, 3, 3), generator=torch.Generator().manual_seed(seed)).flatten(0, 1)
    fine = torch.nn.functional.interpolate(coarse, size=shape[2:], mode="bicubic").clamp(0, 1)
    return fine.view(*shape[:2], 3, *shape[2:]).to(dtype)


@pytest.fixture(scope="module", params=SMALL)
def model(request):
    """A network whose parameters have left the values they start at, some of them zero."""
    torch.manual_seed(0)
    network = build(settings(request.param)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network


@pytest.fixture(scope="module")
def precise(model):
    return copy.deepcopy(model).double()


def frames_of(model):
    return max(4, model.needs.min_frames)


def test_there_are_models():
    assert "recurrent" in SMALL
    assert len(SMALL) < len(MODELS) or MODELS == ["recurrent"]


@pytest.mark.parametrize("name", MODELS)
def test_the_configuration_says_all_and_agrees_with_the_data(name):
    settings = compose({"model": name})
    network = build(settings.model)
    assert network.scale == settings.degradation["scale"]
    assert type(network).__module__.startswith("fedvsr_core.models.")


@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("name", SMALL)
def test_other_factors(name, factor):
    network = build(compose({"model": name, "overrides": f"degradation.scale={factor}"}).model)
    high = network(clip(1, frames_of(network), 8, 9))
    assert high.shape == (1, frames_of(network), 3, factor * 8, factor * 9)
    high.square().mean().backward()
    tail = {name: weight for name, weight in network.named_parameters() if name.startswith(network.tail)}
    assert tail
    assert all(weight.grad.any() for weight in tail.values())


@pytest.mark.parametrize("name", SMALL)
def test_weights_of_another_factor_load_up_to_the_tail(name, tmp_path, caplog):
    source = build(settings(name)).state_dict()
    save_model(tmp_path / "four.safetensors", source, settings(name))
    network = build(compose({"model": name, "overrides": "degradation.scale=2"}).model)
    own = {name: weight.clone() for name, weight in network.state_dict().items()}
    load_network(network, tmp_path / "four.safetensors", any_factor=True)
    (said,) = caplog.messages
    anew = set(said.partition("these begin anew: ")[2].split(", "))
    assert said.startswith(f"'{tmp_path}/four.safetensors' is for another upscaling factor than 2;")
    assert anew
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, own[name] if name in anew else source[name]), name
        assert name.startswith(network.tail) or name not in anew


@pytest.mark.parametrize("name", MODELS)
def test_what_is_declared_is_there(name):
    network = build(settings(name))
    parameters = dict(network.named_parameters())
    buffers = {name for name, buffer in network.named_buffers() if buffer.is_floating_point()}
    assert network.unused_parameters <= set(parameters)
    assert network.constants <= buffers
    assert bool(network.late_parameters()) == bool(network.late)
    assert all(network.rename_official(name) == name for name in network.state_dict())


def test_some_frames_are_those_of_the_whole(precise):
    frames = frames_of(precise) + 1  # which some networks continue by reflection
    low = clip(2, frames, 16, 16, dtype=torch.float64)
    several = [slice(1, frames - 2)]
    if type(precise).restore_wanted is not VideoModel.restore_wanted:  # others compute all frames, and cut
        several += [slice(0, 1), slice(frames - 1, frames), slice(None)]
    with torch.no_grad():
        whole = precise(low)
        for wanted in several:
            torch.testing.assert_close(precise(low, wanted), whole[:, wanted], rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 16), (7, 9), (1, 1)], ids=str)
def test_shape_at_any_size(model, size):
    low = clip(1, frames_of(model), *size)
    with torch.no_grad():
        high = model(low)
    assert high.shape == (1, frames_of(model), 3, model.scale * size[0], model.scale * size[1])
    assert high.dtype == torch.float32
    assert high.isfinite().all()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips(model, frames):
    with torch.no_grad():
        high = model(clip(1, frames, 8, 8))
    assert high.shape[1] == frames
    assert high.isfinite().all()


def test_every_parameter_that_is_used_gets_a_gradient(model):
    network = copy.deepcopy(model)
    output = network(clip(1, frames_of(model), 16, 20))
    output.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    without = {name for name, gradient in gradients.items() if gradient is None or not gradient.any()}
    assert without == network.unused_parameters
    assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)


def test_clips_of_a_batch_do_not_mix(precise):
    low = torch.cat([clip(1, frames_of(precise), 8, 8, seed=seed, dtype=torch.float64) for seed in (0, 1)])
    with torch.no_grad():
        together, apart = precise(low), torch.cat([precise(low[:1]), precise(low[1:])])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-9)


def test_a_frame_depends_on_its_neighbours(precise):
    frames = frames_of(precise)
    low = clip(1, frames, 8, 8, dtype=torch.float64)
    other = low.clone()
    other[:, 0] = 1 - other[:, 0]
    with torch.no_grad():
        difference = (precise(low) - precise(other)).abs().amax(dim=(0, 2, 3, 4))
    assert (difference[:2] > 0).all(), "a frame must depend on the one beside it; how far it sees is free"


def test_autocast(model):
    low = clip(1, frames_of(model), 16, 16)
    with torch.no_grad():
        exact = model(low)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(low)
    assert rough.isfinite().all()
    assert (rough.float() - exact).abs().mean() < 0.05 * (1 + exact.abs().mean())


def test_checkpointing_changes_no_gradient(model):
    gradients = []
    for checkpointing in (False, True):
        network = copy.deepcopy(model)
        network.checkpointing = checkpointing
        torch.manual_seed(0)  # networks may drop paths at random
        network.train()(clip(1, frames_of(model), 8, 8)).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again, rtol=1e-4, atol=1e-6)


def test_channels_last_changes_nothing(precise):
    low = clip(1, frames_of(precise), 8, 8, dtype=torch.float64)
    turned = copy.deepcopy(precise)
    for parameter in turned.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.testing.assert_close(turned(low), precise(low), rtol=0, atol=1e-9)


def test_a_copy_is_its_own(model):
    twin, low = copy.deepcopy(model), clip(1, frames_of(model), 8, 8)
    with torch.no_grad():
        before = model(low)
        assert torch.equal(twin(low), before)
        for parameter in twin.parameters():
            parameter.zero_()
        assert torch.equal(model(low), before)


@pytest.mark.parametrize("name", SMALL)
def test_a_file_of_weights_makes_an_equal_network(name, tmp_path):
    torch.manual_seed(0)
    network = build(settings(name)).eval()
    save_model(tmp_path / "model.safetensors", network.state_dict(), settings(name))
    again = load_model(tmp_path / "model.safetensors")
    low = clip(1, frames_of(network), 8, 8)
    with torch.no_grad():
        assert torch.equal(again(low), network(low))


@pytest.mark.parametrize("name", SMALL)
def test_the_seed_decides_the_weights(name):
    states = []
    for seed in (0, 0):
        torch.manual_seed(seed)
        states.append(build(settings(name)).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
