"""Promises: means and paired differences by hand, and no winner that the seeds don't bear out."""

import math

import pytest
from scipy import stats

from fedvsr.comparison import seed_means as module
from fedvsr.comparison.seed_means import best, difference, seed_mean


def test_mean_and_deviation_by_hand():
    one = seed_mean([1.0, 2.0, 6.0])  # mean 3; (4 + 1 + 9) / 2 = 7
    assert (one.mean, one.count) == (3.0, 3)
    assert one.deviation == pytest.approx(math.sqrt(7))
    assert one.text(2) == "3.00 ± 2.65"
    assert seed_mean([1.0]).text(1) == "1.0"


def test_intervals_by_hand():
    # Three values of deviation 1: 4.30 / sqrt(3) = 2.48 on either side.
    assert seed_mean([1.0, 2.0, 3.0]).interval(2) == "+2.00 [-0.48, +4.48]"
    assert seed_mean([-1.0]).interval(1) == "-1.0"
    assert seed_mean([1.0]).half_width == math.inf


def test_quantiles_are_students():
    for freedom, quantile in enumerate(module._T95, start=1):
        assert quantile == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.006)


@pytest.mark.parametrize("values", [[1.0, 1.1, 0.9], [0.1, 0.5, -0.1], [2.0, 3.0]], ids=str)
def test_certainty_is_that_of_the_paired_t_test(values):
    assert seed_mean(values).certain == (stats.ttest_1samp(values, 0).pvalue < 0.05)


def test_one_seed_is_never_certain():
    assert not seed_mean([5.0]).certain


def test_differences_are_paired_by_seed():
    one = difference({0: 10.0, 1: 20.0, 2: 7.0}, {1: 19.0, 0: 8.0, 5: 1.0})  # 2 and 1
    assert (one.mean, one.count) == (1.5, 2)
    assert difference({0: 1.0}, {1: 1.0}) is None


def test_the_best_must_be_better_than_every_other_for_certain():
    scores = {"a": {0: 28.0, 1: 30.0, 2: 29.0}, "b": {0: 27.5, 1: 29.51, 2: 28.49}}
    assert best(scores, higher=True) == "a"  # seeds differ by more, but a is 0.5 above b at each
    assert best(scores, higher=False) == "b"
    assert best(scores | {"c": {0: 30.0, 1: 28.0, 2: 28.9}}, higher=True) is None
    assert best({"a": scores["a"]}, higher=True) is None


def test_equals_have_no_best():
    assert best({"a": {0: 1.0, 1: 1.0}, "b": {0: 1.0, 1: 1.0}}, higher=True) is None


def test_the_best_is_better_at_the_seeds_that_both_have():
    scores = {"a": {0: 40.0, 1: 20.0, 2: 20.0}, "b": {1: 21.0, 2: 21.001}}  # a trial of b failed
    assert best(scores, higher=True) == "b"
    assert best(scores, higher=False) == "a"
