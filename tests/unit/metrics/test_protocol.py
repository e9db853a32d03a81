"""Promises: a protocol says how scores are made, goes with them, and keeps others from being compared."""

import json

import pytest

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, DataError
from fedvsr_core.metrics.protocol import Protocol, check_same
from server_app.config import compose, options

PROTOCOLS = options("protocol")


def protocol(**changes):
    facts = {
        "name": "own", "metrics": ["psnr-y", "ssim-y"], "border": 0, "frames": "all", "skip": 0,
        "averaging": "clips", "low": None,
    }  # fmt: skip
    return Protocol(**{**facts, **changes})


def of_option(name):
    return build(compose({"overrides": f"protocol={name}"}).protocol)


def test_the_published_ones_are_there():
    assert set(PROTOCOLS) >= {"reds4-rgb", "vid4-y", "vid4-rgb", "vimeo-y-centre", "udm10-y", "sample"}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_option(name):
    one = of_option(name)
    assert one.name == name
    assert one.headline.startswith("psnr-")
    assert json.loads(json.dumps(one.facts())) == one.facts()
    assert Protocol(**one.facts()) == one
    assert str(one).startswith(f"{name} (PSNR-")


@pytest.mark.parametrize(
    ("name", "headline", "low", "frames"),
    [
        ("reds4-rgb", "psnr-rgb", "bi", "all"),
        ("vid4-y", "psnr-y", "bi", "all"),
        ("vid4-rgb", "psnr-rgb", "bi", "all"),
        ("vimeo-y-centre", "psnr-y", "bi", "centre"),
        ("udm10-y", "psnr-y", "bd12", "all"),
    ],
)
def test_published_conventions(name, headline, low, frames):
    one = of_option(name)
    assert (one.headline, one.low, one.frames) == (headline, low, frames)
    assert (one.border, one.skip, one.averaging) == (0, 0, "clips")


def test_which_frames_count():
    assert protocol().scored(5, "x") == range(5)
    assert protocol(skip=2).scored(6, "x") == range(2, 4)
    assert list(protocol(frames="centre").scored(7, "x")) == [3]  # frame 4 of 7, as Vimeo-90K-T counts
    with pytest.raises(DataError, match="clip 'walk' has 4 frames, but protocol 'own' leaves out 2"):
        protocol(skip=2).scored(4, "walk")


def test_what_made_the_low_frames_is_held_to():
    assert protocol().on("noisy").low == "noisy"
    assert protocol(low="bi").on("bi").low == "bi"
    with pytest.raises(ConfigurationError, match="defined on low-resolution frames 'bi', got 'bd12'"):
        protocol(low="bi").on("bd12")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"border": 8}, "border 0 and 8"),
        ({"metrics": ["psnr-rgb"]}, "headline psnr-y and psnr-rgb"),
        ({"low": "bd12"}, "low None and 'bd12'"),
        ({"frames": "centre", "skip": 1}, "frames 'all' and 'centre'; skip 0 and 1"),
        ({"averaging": "frames"}, "averaging 'clips' and 'frames'"),
    ],
)
def test_scores_of_two_protocols_are_not_compared(changes, words):
    with pytest.raises(
        ConfigurationError, match=rf"don't compare with those of 'other' in x\.json: .*{words}"
    ):
        check_same(protocol().facts(), protocol(name="other", **changes).facts(), "x.json")


def test_names_and_further_metrics_may_differ():
    check_same(protocol().facts(), protocol(name="mine").extended(["lpips"]).facts(), "x.json")


def test_further_metrics():
    more = protocol().extended(["lpips", "psnr-y", "warping"])
    assert more.metrics == ("psnr-y", "ssim-y", "lpips", "warping")
    assert more.reported == ("psnr-y", "ssim-y", "lpips", "warping", "warping-truth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["psnr"]}, "metric 'psnr' is unknown; did you mean 'psnr-"),
        ({"metrics": []}, "at least one metric"),
        ({"border": -1}, "needs border and skip >= 0, got -1 and 0"),
        ({"frames": "first"}, "frames of protocol 'own' must be one of all, centre, got 'first'"),
        ({"averaging": "pixels"}, "averaging of protocol 'own' must be one of clips, frames"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        protocol(**changes)


def test_a_wrong_metric_is_refused_before_the_run():
    with pytest.raises(ConfigurationError, match="metric 'lpisp' is unknown; did you mean 'lpips'"):
        build(compose({"overrides": "protocol.metrics=[lpisp]"}).protocol)
