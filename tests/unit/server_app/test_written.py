"""Promises: any text comes out of shell, Flower and Hydra as it was, whatever signs are in it."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr.run_config import parse_run_config
from server_app.config import compose, given_overrides
from server_app.written import flower_words, overrides

SIGNS = "".join(map(chr, range(32, 128)))
NAMES = st.text(SIGNS + "üé漢字", min_size=1, max_size=200)


def through(path, more=""):
    """What a run-config holds after all that reads it."""
    command = shlex.join([flower_words({"overrides": overrides({"run.resume": path}, more)})])
    return parse_run_config(*shlex.split(command))


@settings(max_examples=150, deadline=None)
@given(NAMES)
def test_any_path_comes_through(name):
    assert given_overrides(through(f"/{name}")) == [("run.resume", f"/{name}")]


@pytest.mark.parametrize(
    "name",
    ["müller/it's", "a=b,c(d)~e#f", "${oc.env:HOME}", r"\${x}\'\\", '"', "-x", "漢 字", SIGNS, "x" * 200],
)
def test_a_composed_run_has_the_same_path(name):
    settings = compose(through(f"/{name}", "seed=4"))
    assert (settings.run.resume, settings.seed) == (f"/{name}", 4)


def test_what_is_plain_stays_readable():
    words = {"strategy": "fedavg", "data": "", "overrides": overrides({"run.root": "/a/b-1"}, "seed=1")}
    assert flower_words(words) == 'strategy="fedavg" overrides="seed=1 run.root=/a/b-1"'
