"""Promises: for each size of GPU, VRT and RVRT train on sizes they take, and on more of it on larger ones."""

import pytest

from fedvsr_core.components import build
from server_app.config import compose, options

PRESETS = [f"{family}_{size}gb" for family in ("vrt", "rvrt") for size in (8, 16, 24, 40, 80)]


def test_there_is_one_for_each_size():
    assert {name for name in options("experiment") if name.endswith("gb")} == set(PRESETS)


@pytest.mark.parametrize("family", ["vrt", "rvrt"])
def test_larger_cards_take_more(family):
    trained = [compose({"experiment": name}).training for name in PRESETS if name.startswith(family)]
    frames = [training.window * training.batch for training in trained]
    assert frames == sorted(set(frames))
    assert all(training.checkpointing and training.patch == 64 for training in trained)


@pytest.mark.parametrize("name", ["vrt_8gb", "vrt_80gb", "rvrt_8gb"])
def test_nothing_is_padded(name):
    settings = compose({"experiment": name})
    needs, training = build(settings.model).needs, settings.training
    assert training.patch >= needs.minimum
    assert training.patch % needs.multiple == training.window % needs.frames_multiple == 0
    assert training.window >= needs.min_frames
