"""Promises: a client declines with one of a few words, never with what an error says."""

import errno

import pytest
import torch
from flwr.app import ConfigRecord, RecordDict

from fedvsr_core.errors import CheckpointError, ConfigurationError, DataError, FederationError, ShapeError
from fedvsr_core.flower.declines import REASONS, decline, why_declined, word_of

ERRORS = [
    (DataError("no videos in '/secret'"), "data"),
    (OSError(errno.ENOSPC, "No space left on device", "/secret"), "disk"),
    (OSError(errno.EROFS, "Read-only file system", "/secret"), "disk"),
    (PermissionError(errno.EACCES, "Permission denied", "/secret"), "files"),
    (ConnectionError("no route to host"), "files"),
    (MemoryError(), "memory"),
    (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
    (
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        "memory",
    ),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    (ConfigurationError("device must be cpu"), "configuration"),
    (CheckpointError("'/secret/weights' is missing"), "weights"),
    (FederationError("'/secret/memory' is missing"), "state"),
    (ShapeError("a clip"), "software"),
    (RuntimeError("size mismatch"), "software"),
]


@pytest.mark.parametrize(("error", "word"), ERRORS, ids=lambda value: str(value)[:30])
def test_the_word_of_an_error(error, word):
    assert word_of(error) == word
    assert word in REASONS


@pytest.mark.parametrize("word", REASONS)
def test_the_server_has_a_sentence_for_each(word):
    content = decline(word)
    assert {name: dict(record) for name, record in content.items()} == {"about": {"declined": word}}
    assert why_declined(content) == f"it declines: {REASONS[word]}; its own output says more"


def test_a_word_of_its_own_is_not_repeated():
    content = RecordDict({"about": ConfigRecord({"declined": "<script>"})})
    assert why_declined(content) == (
        "it declines: it gives a reason that isn't known here; its own output says more"
    )


@pytest.mark.parametrize("content", [{}, {"about": ConfigRecord({"client": "north"})}], ids=["none", "other"])
def test_other_replies_decline_nothing(content):
    assert why_declined(RecordDict(content)) is None
