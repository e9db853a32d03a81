"""Promises: the switches reach the network, and change nothing that isn't asked for."""

import torch

from client_app.memory_format import set_memory_format
from fedvsr_core.models.basicvsr import BasicVSR
from server_app.config import compose


def arranged(**switches):
    model = BasicVSR(num_feat=4, num_block=1)
    set_memory_format(model, compose({}).training.model_copy(update=switches))
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
