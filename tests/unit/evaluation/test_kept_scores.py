"""Promises: scores are computed once for the same pixels, facts and code, never read from a damaged file."""

import json
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fedvsr_core.data.clips import Clip
from fedvsr_core.evaluation import kept_scores
from fedvsr_core.evaluation.kept_scores import MOST, folder, kept_or_computed

FACTS = {"protocol": {"name": "sample", "border": 0}}
VALUES = [{"psnr-y": np.array([0.1 + 0.2, math.inf, math.nan]), "warping": np.array([[1.0, 2.0]])}]


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    sizes = (3, 8, 12, 3), (3, 2, 3, 3)
    return Clip("a", *(rng.integers(0, 256, size, dtype=np.uint8) for size in sizes))


@pytest.fixture
def ask():
    """Ask for scores; the list that this has as its attribute counts what was computed."""

    def asking(clips, facts=FACTS):
        def compute():
            asking.computed.append(1)
            return VALUES

        return kept_or_computed(clips, facts, compute)

    asking.computed = []
    return asking


def same(one, other):
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
        for a, b in zip(one, other, strict=True)
    )


def test_the_second_time_the_very_values_are_read(ask, clip):
    assert same(ask([clip]), VALUES)
    assert same(ask([replace(clip, name="b", high=clip.high[:, ::-1][:, ::-1])]), VALUES)
    assert ask.computed == [1]


def test_whatever_the_scores_depend_on_is_in_the_name(ask, clip, monkeypatch):
    high, low = clip.high.copy(), clip.low.copy()
    high[1, 2, 3, 0] ^= 1
    low[0, 0, 0, 0] ^= 1
    ask([clip])
    ask([replace(clip, high=high)])
    ask([replace(clip, low=low)])
    ask([clip, clip])
    ask([replace(clip, high=clip.high.reshape(3, 12, 8, 3))])
    ask([clip], {"protocol": {"name": "sample", "border": 1}})
    monkeypatch.setattr(kept_scores, "code_digest", lambda: "other code")
    ask([clip])
    assert len(ask.computed) == 7 == len(list(folder().iterdir()))


DAMAGES = {
    "shorter": lambda text: text[:-9],
    "another": lambda text: text.replace(b"0.3", b"0.4"),
    "empty": lambda text: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_computed_again(ask, clip, damage, caplog):
    ask([clip])
    [path] = folder().iterdir()
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    with caplog.at_level(logging.WARNING):
        assert same(ask([clip]), VALUES)
    assert "are damaged, and are computed again" in caplog.text
    assert (len(ask.computed), path.read_bytes()) == (2, sound)


def test_a_home_that_cannot_be_written_to(ask, clip, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert same(ask([clip]), VALUES)
    assert "bicubic's scores can't be kept for other runs" in caplog.text


def test_the_longest_unused_entries_go(ask, clip):
    folder().mkdir()
    for number in range(MOST):
        (folder() / f"{number}.json").write_text(json.dumps([]))
    ask([clip])
    names = {path.name for path in folder().iterdir()}
    assert len(names) == MOST
    assert "0.json" not in names


def test_several_at_once(ask, clip):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: ask([clip]), range(40)))
    assert all(same(result, VALUES) for result in results)
    assert len(list(folder().iterdir())) == 1
