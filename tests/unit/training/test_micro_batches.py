"""Promises: the same step in smaller parts; once where memory runs out, then an error says what helps."""

import logging

import pytest
import torch
from torch import nn

from fedvsr_core.losses.high_frequency import HighFrequencyLoss
from fedvsr_core.models.recurrent import Recurrent
from fedvsr_core.training.local import train
from fedvsr_core.training.micro_batches import MicroBatches

CPU = torch.device("cpu")


def batches():
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        yield torch.rand(4, 3, 3, 4, 4, generator=generator), torch.rand(4, 3, 3, 16, 16, generator=generator)


def trained(*, room=99, micro_batch=None, device=CPU):
    """A network after three steps, on a device with room for so many samples; also what was reported."""
    torch.manual_seed(0)
    model = Recurrent(width=4, blocks=1, scale=4).to(device)
    seen = []

    def run_out(module, inputs):
        seen.append(len(inputs[0]))
        if len(inputs[0]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory, as if")

    model.register_forward_pre_hook(run_out)
    measure = HighFrequencyLoss()

    def loss(output, target):
        value = measure(output, target)
        return value, {"high-frequency": value.detach()}

    outcome = train(
        model, batches(), loss=loss,
        optimiser=torch.optim.SGD(model.parameters(), lr=0.1), adjust=lambda model: None, clip_norm=0.5,
        device=device, micro_batch=micro_batch,
    )  # fmt: skip
    return nn.utils.parameters_to_vector(model.parameters()).detach(), outcome, seen


@pytest.mark.parametrize(("micro_batch", "sizes"), [(1, [1] * 4), (3, [3, 1]), (4, [4]), (9, [4])])
def test_micro_batches_make_the_same_steps(micro_batch, sizes):
    whole, expected, _ = trained()
    parts, outcome, seen = trained(micro_batch=micro_batch)
    assert seen == sizes * 3
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    assert outcome.loss == pytest.approx(expected.loss, rel=1e-6)
    assert outcome.parts == pytest.approx(expected.parts, rel=1e-6)
    assert outcome.steps == expected.steps


def test_a_step_that_runs_out_of_memory_is_made_again_in_halves(caplog):
    whole, expected, _ = trained()
    with caplog.at_level(logging.WARNING):
        halves, outcome, seen = trained(room=2)
    assert seen == [4, 2, 2, 2, 2, 2, 2]  # the first step twice, and the others in halves at once
    torch.testing.assert_close(halves, whole, rtol=0, atol=1e-6)
    assert outcome.loss == pytest.approx(expected.loss, rel=1e-6)
    assert "out of memory on cpu with 4 of 4 samples at once: again with 2" in caplog.text


@pytest.mark.parametrize(("room", "micro_batch", "size"), [(1, None, 2), (0, 1, 1)])
def test_it_gives_up_at_the_second_time(room, micro_batch, size):
    message = f"a training step with {size} of 4 samples at once needs more memory than cpu has free; lower"
    with pytest.raises(MemoryError, match=message):
        trained(room=room, micro_batch=micro_batch)


def test_other_errors_pass():
    def fail(size):
        raise ValueError("another one")

    with pytest.raises(ValueError, match="another one"):
        MicroBatches(None, CPU).run(fail, 4)


@pytest.mark.gpu
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_a_gpu_makes_the_steps_of_a_cpu(micro_batch):
    expected, outcome, _ = trained()
    found, on_gpu, _ = trained(micro_batch=micro_batch, device=torch.device("cuda"))
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-4)
    assert on_gpu.loss == pytest.approx(outcome.loss, rel=1e-4)
