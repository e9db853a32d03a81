"""Promises: a training step never waits for its device, and sends it nothing but the batch.

Torch's device ``meta`` stands for a GPU: tensors on it have shapes and no content, so that whatever needs a
value, as Python does for ``if`` and ``float``, can't have one.
"""

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fedvsr_core.components import build
from fedvsr_core.losses.charbonnier import Charbonnier
from fedvsr_core.training.local import train
from server_app.config import compose, options

META = torch.device("meta")
TINY = {
    "recurrent": "model.width=4 model.blocks=1",
    "causal": "model.width=4 model.blocks=1",
    "basicvsr_small": "model.num_feat=4 model.num_block=1",
    "basicvsrpp_small": "model.mid_channels=8 model.num_blocks=1",
    "iart_small": "",
    "vrt_small": "",
    "rvrt_small": "",
}
LARGE = ("basicvsrpp_small", "vrt_small", "rvrt_small")


class Traffic(TorchDispatchMode):
    """Counts operations from one device to another, and float64; to read a value of ``meta`` is an error."""

    def __init__(self):
        super().__init__()
        self.to_device, self.from_device, self.other = Counter(), Counter(), Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name, given = operation.name(), _tensors((args, kwargs))
        if (
            name == "aten::_to_copy"
            and given[0].device == META
            and (kwargs or {}).get("device") == torch.device("cpu")
        ):
            self.from_device[name] += 1
            return torch.zeros(given[0].shape, dtype=given[0].dtype)
        result = operation(*args, **(kwargs or {}))
        made = _tensors(result)
        from_host = [one for one in given if one.device != META and one.ndim]
        if from_host and any(one.device == META for one in (*made, *given)):
            self.to_device[name] += 1
        if any(one.dtype == torch.float64 and one.device == META for one in made):
            self.other["float64"] += 1
        return result


class Made(TorchFunctionMode):
    """Counts tensors that are made of Python's numbers, which then are copied to the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        return function(*args, **(kwargs or {}))


def _tensors(tree):
    return [one for one in tree_leaves(tree) if isinstance(one, torch.Tensor)]


def step(name, steps, **switches):
    model = build(compose({"model": name, "overrides": TINY[name]}).model)
    model.checkpointing = False
    model.to(META)
    measure = Charbonnier()

    def loss(output, target):
        value = measure(output, target)
        return value, {"charbonnier": value.detach()}

    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    frames, size = max(4, model.needs.min_frames), 16
    clips = (
        torch.zeros(2, frames, 3, size, size, dtype=torch.uint8),
        torch.zeros(2, frames, 3, 4 * size, 4 * size, dtype=torch.uint8),
    )
    late = [model.get_parameter(parameter) for parameter in model.late_parameters()]
    with Traffic() as traffic, Made() as made:
        train(
            model, [clips] * steps, loss=loss, optimiser=optimiser, adjust=lambda model: None, clip_norm=1.0,
            device=META, late=late, frozen_steps=1, **switches,
        )  # fmt: skip
    assert made.count == 0
    return traffic


def test_no_model_is_left_out():
    assert {name.removesuffix("_16").removesuffix("_small") for name in options("model")} == {
        name.removesuffix("_small") for name in TINY
    }


def test_what_would_be_seen():
    x = torch.zeros(2, device=META)
    with Traffic() as traffic, Made() as made:
        x * x.new_tensor([1.0, 2.0])
        x * torch.tensor([1.0, 2.0]).to(META)
        x.double()
        with pytest.raises(RuntimeError, match="meta"):
            x.sum().item()
        with pytest.raises(RuntimeError, match="meta"):
            bool(x.isfinite().all())
    assert traffic.to_device.total() == 1
    assert made.count == 2
    assert traffic.other == {"float64": 1}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in TINY],
)
def test_a_step_sends_the_batch_and_asks_for_nothing(name):
    traffic = step(name, 2)
    assert traffic.other == {}
    assert traffic.to_device == {"aten::_to_copy": 2 * 2}  # low and high of each batch
    assert traffic.from_device == {"aten::_to_copy": 1}  # the loss and its part, after the last step


def test_micro_batches_wait_no_more():
    traffic = step("recurrent", 3, micro_batch=1)
    assert traffic.other == {}
    assert traffic.to_device == {"aten::_to_copy": 3 * 2 * 2}
    assert traffic.from_device == {"aten::_to_copy": 1}
