"""Promises: untrained it is MATLAB's bicubic interpolation; small, for any clip, and all of it learns."""

import numpy as np
import pytest
import torch

from fedvsr_core.components import build
from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.models.recurrent import Recurrent
from server_app.config import compose


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Recurrent(width=4, blocks=1, scale=4)


@pytest.fixture
def trained(model):
    """A network in double precision whose residual isn't zero."""
    with torch.no_grad():
        model.residual.weight.normal_(std=0.1)
    return model.double().eval()


@pytest.mark.parametrize("size", [(16, 16), (13, 21), (1, 1)], ids=str)
@pytest.mark.parametrize("scale", [2, 4])
def test_untrained_it_is_bicubic(size, scale):
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    low = torch.from_numpy(frames).permute(0, 3, 1, 2)[None] / 255
    model = Recurrent(width=4, blocks=1, scale=scale)
    with torch.no_grad():
        high = (model(low)[0] * 255).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert abs(high - bicubic_up(frames, scale)).max() <= 0.5 + 1e-3  # half a grey level is rounding


def test_the_default_is_small():
    model = build(compose({"model": "recurrent"}).model)
    assert 50_000 < sum(parameter.numel() for parameter in model.parameters()) <= 300_000


def test_without_look_ahead_no_frame_depends_on_a_later_one():
    network = build(compose({"model": "causal"}).model).double().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) < 500_000
    with torch.no_grad():
        network.residual.weight.normal_(std=0.1)
        low = noise(1, 4, 3, 8, 8)
        later = low.clone()
        later[:, 2:] = noise(1, 2, 3, 8, 8, seed=1)
        difference = (network(low) - network(later)).abs().amax(dim=(0, 2, 3, 4))
        torch.testing.assert_close(network(low[:, :2]), network(low)[:, :2], rtol=0, atol=1e-12)
    assert difference[:2].tolist() == [0, 0]
    assert (difference[2:] > 0).all()


def test_every_parameter_gets_a_gradient(model):
    low, high = noise(1, 3, 3, 8, 8).float(), noise(1, 3, 3, 32, 32, seed=1).float()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):  # the first step moves only the last layer, which starts at zero
        optimiser.zero_grad()
        (model(low) - high).square().mean().backward()
        optimiser.step()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any() or not parameter.grad.isfinite().all()
    ]
    assert without == []


@pytest.mark.parametrize(
    "shape", [(1, 1, 3, 8, 8), (2, 3, 3, 7, 9), (1, 2, 3, 1, 1), (1, 4, 3, 5, 32)], ids=str
)
def test_any_clip(trained, shape):
    with torch.no_grad():
        high = trained(noise(*shape))
    assert high.shape == (*shape[:3], 4 * shape[3], 4 * shape[4])
    assert high.isfinite().all()


def test_clips_of_a_batch_do_not_mix(trained):
    low = noise(2, 3, 3, 8, 8)
    with torch.no_grad():
        together, apart = trained(low), torch.cat([trained(low[:1]), trained(low[1:])])
        changed = trained(torch.cat([low[:1], 1 - low[1:]]))
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)
    torch.testing.assert_close(together[:1], changed[:1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("changed", [0, 4], ids=["from the past", "from the future"])
def test_every_frame_knows_of_every_other(trained, changed):
    low = noise(1, 5, 3, 8, 8)
    other = low.clone()
    other[:, changed] = noise(1, 3, 8, 8, seed=1)
    with torch.no_grad():
        difference = (trained(low) - trained(other)).abs().amax(dim=(0, 2, 3, 4))
    assert (difference > 0).all()


def test_time_reversed_with_its_halves_swapped(trained):
    low = noise(1, 4, 3, 8, 8)
    with torch.no_grad():
        before = trained(low)
        trained.forwards, trained.backwards = trained.backwards, trained.forwards
        trained.fuse.weight.copy_(trained.fuse.weight.roll(4, dims=1))
        torch.testing.assert_close(trained(low.flip(1)), before.flip(1), rtol=0, atol=1e-12)


def test_brightness_alone_changes_no_detail(trained):
    low = 0.5 * noise(1, 3, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(trained(low + 0.25), trained(low) + 0.25, rtol=0, atol=1e-12)


def test_it_learns(model):
    low, high = noise(1, 3, 3, 8, 8).float(), noise(1, 3, 3, 32, 32, seed=1).float()
    optimiser, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(10):
        optimiser.zero_grad()
        losses.append((model(low) - high).square().mean())
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.9 * losses[0]


def test_a_state_dict_makes_an_equal_network(trained):
    other = Recurrent(width=4, blocks=1, scale=4).double().eval()
    other.load_state_dict(trained.state_dict())
    low = noise(1, 2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(other(low), trained(low))


def test_the_seed_decides_the_weights():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(Recurrent(width=4, blocks=1, scale=4).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["fuse.weight"], states[2]["fuse.weight"])


@pytest.mark.parametrize("argument", ["width", "blocks", "scale"])
def test_sizes_below_one(argument):
    with pytest.raises(ConfigurationError, match=r"^width, blocks and scale must be at least 1, got .*0"):
        Recurrent(**{"width": 4, "blocks": 1, "scale": 4, argument: 0})


def test_what_is_no_clip(model):
    with pytest.raises(ShapeError, match="a clip must have shape"):
        model(torch.zeros(3, 3, 8, 8))
