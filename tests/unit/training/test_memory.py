"""Promises: the switches reach the network, and change nothing that isn't asked for."""

import torch

from fedvsr_core.config import compose
from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.training.memory import arrange


def arranged(**switches):
    model = BasicVSR(num_feat=4, num_block=1)
    arrange(model, compose({}).training.model_copy(update=switches))
    last = [
        parameter.is_contiguous(memory_format=torch.channels_last)
        for parameter in model.parameters()
        if parameter.ndim == 4 and min(parameter.shape[1:3]) > 1
    ]
    return model.checkpointing, set(last)


def test_nothing_by_default():
    assert arranged() == (False, {False})


def test_switches():
    assert arranged(checkpointing=True) == (True, {False})
    assert arranged(channels_last=True) == (False, {True})
