"""Promises: the best model is chosen by what was asked, and a run ends when it has stopped to get better."""

import pytest

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.evaluation.held_out import protocol_of
from server_app.config import compose
from server_app.selection import check_selection, merit, scorings_without_gain
from tests.pages import evaluation

OWN = {
    "clients": [
        {"client": "a", "psnr-y": 30.0},
        {"client": "b", "psnr-y": 26.0},
        {"client": "c", "psnr-y": "nan"},
    ]
}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (None, 28.0),
        ("ssim-y", 0.8),
        ("lpips", -0.2),
        ("clients-mean", 28.0),
        ("clients-worst", 26.0),
        ("vmaf", None),
    ],
)
def test_merit_by_hand(by, expected):
    assert merit(by, "psnr-y", {"psnr-y": 28.0, "ssim-y": 0.8, "lpips": 0.2}, OWN) == expected


def test_the_worst_client_of_a_metric_that_is_better_when_low():
    own = {"clients": [{"client": "a", "lpips": 0.1}, {"client": "b", "lpips": 0.3}]}
    assert merit("clients-worst", "lpips", None, own) == -0.3


def test_a_round_without_the_scores_that_select_has_no_merit():
    assert merit("clients-worst", "psnr-y", {"psnr-y": 28.0}, None) is None
    assert merit(None, "psnr-y", None, OWN) is None


@pytest.mark.parametrize(
    ("gains", "since"),
    [([], 0), ([1.0], 0), ([0.0, 1.0, 0.9, 0.8], 2), ([1.0, 1.0, 1.0], 2), ([0.0, 1.0], 0)],
)
def test_scorings_since_the_best(gains, since):
    assert scorings_without_gain([evaluation(number, gain) for number, gain in enumerate(gains)]) == since


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("evaluation.select=psnr-x", "evaluation.select must be a metric .*, got 'psnr-x'"),
        ("evaluation.select=clients-worst", "needs the clients' scores; give evaluation.clients=1"),
    ],
)
def test_what_is_not_measured_selects_nothing(overrides, said):
    settings = compose({"overrides": overrides})
    with pytest.raises(ConfigurationError, match=said):
        check_selection(settings, protocol_of(settings))


@pytest.mark.parametrize(
    "overrides", ["", "evaluation.select=ssim-rgb", "evaluation.select=clients-mean evaluation.clients=2"]
)
def test_what_is_measured_may_select(overrides):
    settings = compose({"overrides": overrides})
    check_selection(settings, protocol_of(settings))
