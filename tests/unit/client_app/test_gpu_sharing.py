"""Promises: a sentence that says how many simulated clients fit a GPU, once, where there is one."""

from types import SimpleNamespace

import pytest
import torch

from client_app.gpu_sharing import clients_that_fit, sentence, tell_what_fits


@pytest.mark.parametrize(
    ("needed_mb", "total_mb", "clients"), [(1400, 8000, 4), (1401, 8000, 3), (7000, 8000, 1), (9000, 8000, 1)]
)
def test_clients_that_fit(needed_mb, total_mb, clients):
    # Each takes 600 MB more for CUDA itself: four times 2000 is 8000.
    assert clients_that_fit(needed_mb, total_mb) == clients


def test_the_share_of_each_is_rounded_down():
    assert sentence("Imaginary", 3, 4) == (
        "3 clients fit this GPU (Imaginary): --federation-config"
        " 'num-supernodes=4 init-args-num-gpus=1 client-resources-num-gpus=0.333'"
    )
    assert sentence("Imaginary", 1, 2).startswith("1 client fits this GPU")


@pytest.mark.parametrize(
    ("device", "partition", "server_round", "told"),
    [
        ("cuda:0", 0, 1, True), ("cuda:0", 1, 1, False), ("cuda:0", 0, 2, False), ("cpu", 0, 1, False),
        ("cuda:0", None, 1, False),
    ],
)  # fmt: skip
def test_it_is_told_once(monkeypatch, caplog, device, partition, server_round, told):
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 1400 * 2**20)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=8000 * 2**20)
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Imaginary")
    node = {"site": "north"} if partition is None else {"partition-id": partition, "num-partitions": 2}
    tell_what_fits(torch.device(device), node, server_round)
    assert ("4 clients fit this GPU (Imaginary)" in caplog.text) is told
