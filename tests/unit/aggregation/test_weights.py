"""Promises: the paper's weights for any finite losses > 0, a bound for each, and no order among clients."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedvsr_core.aggregation.weights import loss_aware, loss_aware_of_sums, uniform
from fedvsr_core.errors import AggregationError
from fedvsr_core.secure.share import Share

LOSSES = st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=40)
USUAL_LOSSES = st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=40)
PROGRESS = st.floats(0, 1, exclude_min=True)
GUARDS = st.none() | st.floats(1, 10)


def by_the_paper(losses, progress, threshold):
    """The formula as it is printed, without a thought for overflow."""
    losses = np.array(losses)
    even = np.full(len(losses), 1 / len(losses))
    powers = losses ** -(1 - progress)
    by_loss = powers / powers.sum()
    hellinger = np.sqrt(0.5 * np.sum((np.sqrt(even) - np.sqrt(by_loss)) ** 2))
    mixing = 0.0 if hellinger < threshold else (hellinger - threshold) / (1 - threshold)
    return (1 - mixing) * even + mixing * by_loss, hellinger, mixing


def test_by_hand():
    # progress 1/2, losses 1 and 16: powers 1 and 1/4, by loss 4/5 and 1/5.
    # H^2 = 1 - sqrt(1/2 * 4/5) - sqrt(1/2 * 1/5); without a threshold H is the mixing share.
    found = loss_aware([1.0, 16.0], progress=0.5, threshold=0.0)
    hellinger = math.sqrt(1 - math.sqrt(0.4) - math.sqrt(0.1))
    assert found.hellinger == pytest.approx(hellinger)
    assert found.mixing == pytest.approx(hellinger)
    np.testing.assert_allclose(found.weights, [0.5 + 0.3 * hellinger, 0.5 - 0.3 * hellinger])


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.01, [0.252, 0.250, 0.249, 0.249]), (0.5, [0.25] * 4)], ids=["first", "half"]
)
def test_the_papers_example(progress, expected):
    found = loss_aware([0.020, 0.025, 0.030, 0.035], progress=progress, guard=1.5)
    np.testing.assert_allclose(found.weights, expected, atol=6e-4)  # as printed, made to sum to 1


@settings(deadline=None)
@given(USUAL_LOSSES, PROGRESS, st.floats(0, 0.9))
def test_is_the_papers_formula(losses, progress, threshold):
    weights, hellinger, mixing = by_the_paper(losses, progress, threshold)
    found = loss_aware(losses, progress=progress, threshold=threshold)
    assume(hellinger == 0 or abs(hellinger - threshold) > 1e-6)  # where the formula has its corner
    np.testing.assert_allclose(found.weights, weights, rtol=1e-9)
    assert found.hellinger == pytest.approx(hellinger, abs=1e-7)  # a root of cancelled digits near zero
    assert found.mixing == pytest.approx(mixing, abs=1e-7)
    assert found.guarded == ()


@settings(deadline=None)
@given(LOSSES, PROGRESS, st.floats(0, 0.9), GUARDS)
def test_weights_sum_to_one(losses, progress, threshold, guard):
    found = loss_aware(losses, progress=progress, threshold=threshold, guard=guard)
    assert found.weights.dtype == np.float64
    assert found.weights.shape == (len(losses),)
    assert (found.weights >= 0).all()
    assert math.fsum(found.weights) == pytest.approx(1, rel=1e-12)
    assert 0 <= found.mixing <= 1
    assert 0 <= found.hellinger <= 1


@settings(deadline=None)
@given(LOSSES, PROGRESS, GUARDS, st.randoms())
def test_order_of_clients_changes_no_bit(losses, progress, guard, rng):
    order = list(range(len(losses)))
    rng.shuffle(order)
    found = loss_aware(losses, progress=progress, guard=guard)
    shuffled = loss_aware([losses[i] for i in order], progress=progress, guard=guard)
    assert shuffled.weights.tolist() == found.weights[order].tolist()
    assert (shuffled.mixing, shuffled.hellinger) == (found.mixing, found.hellinger)
    assert sorted(order[i] for i in shuffled.guarded) == list(found.guarded)


@settings(deadline=None)
@given(LOSSES, PROGRESS, GUARDS)
def test_smaller_loss_never_weighs_less(losses, progress, guard):
    losses = sorted(losses)
    assert (np.diff(loss_aware(losses, progress=progress, guard=guard).weights) <= 1e-15).all()


@settings(deadline=None)
@given(LOSSES, GUARDS)
def test_uniform_in_the_last_round(losses, guard):
    found = loss_aware(losses, progress=1.0, guard=guard)
    assert found.weights.tolist() == uniform(len(losses)).tolist()
    assert found.mixing == 0


@settings(deadline=None)
@given(USUAL_LOSSES, PROGRESS, st.floats(1e-3, 1e3))
def test_the_unit_of_the_loss_doesn_t_matter(losses, progress, unit):
    one = loss_aware(losses, progress=progress).weights
    other = loss_aware([unit * loss for loss in losses], progress=progress).weights
    np.testing.assert_allclose(other, one, rtol=1e-6)


@settings(deadline=None)
@given(LOSSES, PROGRESS, st.floats(0, 0.9), st.floats(1, 10))
def test_guard_bounds_every_weight(losses, progress, threshold, guard):
    found = loss_aware(losses, progress=progress, threshold=threshold, guard=guard)
    free = loss_aware(losses, progress=progress, threshold=threshold)
    assert found.weights.max() <= guard / len(losses) * (1 + 1e-12)
    assert found.mixing <= free.mixing
    assert [i in found.guarded for i in range(len(losses))] == [
        bool(weight > guard / len(losses) * (1 + 1e-12)) for weight in free.weights
    ] or np.isclose(free.weights.max(), guard / len(losses))


@settings(deadline=None)
@given(st.lists(st.floats(1, 5), min_size=1, max_size=60), st.floats(1e-3, 1e3), PROGRESS)
def test_default_guard_leaves_a_plausible_spread_alone(spread, unit, progress):
    losses = [unit * one for one in spread]
    guarded = loss_aware(losses, progress=progress, guard=1.5)
    assert guarded.guarded == ()
    assert guarded.weights.tolist() == loss_aware(losses, progress=progress).weights.tolist()


@pytest.mark.parametrize("clients", range(2, 200, 7))
def test_the_worst_spread_that_is_left_alone(clients):
    # some clients at 1, the others at 5: no mixture in between strays further from uniform
    for few in range(1, clients):
        assert not loss_aware([1.0] * few + [5.0] * (clients - few), progress=1e-9, guard=1.5).guarded


@pytest.mark.parametrize(("guard", "share"), [(None, 0.77), (1.5, 0.375)], ids=["paper", "guarded"])
def test_one_liar_among_four(guard, share):
    found = loss_aware([1e-9, 0.02, 0.025, 0.03], progress=0.01, guard=guard)
    assert found.weights[0] == pytest.approx(share, abs=0.005)
    assert found.guarded == (() if guard is None else (0,))


@pytest.mark.parametrize("liars", [1, 2, 3])
def test_liars_together_keep_to_the_bound(liars):
    weights = loss_aware([1e-12] * liars + [0.02] * 5, progress=0.01, guard=1.5).weights
    assert weights[:liars].sum() <= liars * 1.5 / (liars + 5) * (1 + 1e-12)


def test_uniform_by_hand():
    assert uniform(4).tolist() == [0.25] * 4


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf], ids=str)
def test_refuses_invalid_losses(bad):
    with pytest.raises(AggregationError, match=r"must be finite and > 0, got \[\(1, .*\)\] of 2"):
        loss_aware([1.0, bad], progress=0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniform(0), "at least one client, got none"),
        (lambda: loss_aware([], progress=0.5), "got none of 0"),
        (lambda: loss_aware([1.0], progress=0.0), r"progress must be in \(0, 1\].*got 0.0, 0.05 and None"),
        (lambda: loss_aware([1.0], progress=1.1), "got 1.1"),
        (lambda: loss_aware([1.0], progress=0.5, threshold=1.0), "got 0.5, 1.0"),
        (lambda: loss_aware([1.0], progress=0.5, guard=0.9), "and 0.9"),
        (lambda: loss_aware([1.0], progress=0.5, guard=math.nan), "and nan"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(AggregationError, match=message):
        call()


def sums_of(losses, progress):
    """What a secure round knows of the clients' shares."""
    share = Share(by="loss", exponent=1 - progress)
    roots = [Fraction(share.root(examples=1, loss=loss)) for loss in losses]
    return len(losses), sum(root**2 for root in roots), sum(roots), [float(root**2) for root in roots]


def test_sums_give_the_same_weights_on_a_hundred_random_rounds():
    generator = np.random.default_rng(7)
    for _ in range(100):
        count, progress = int(generator.integers(3, 33)), float(generator.uniform(0.01, 1))
        losses = (0.02 * 2 ** generator.uniform(0, 2, count)).tolist()
        *sums, shares = sums_of(losses, progress)
        plain = loss_aware(losses, progress=progress, guard=1.5)
        secure = loss_aware_of_sums(*sums, guard=1.5)
        assert secure.hellinger == pytest.approx(plain.hellinger, abs=1e-9)
        assert secure.mixing == pytest.approx(plain.mixing, abs=1e-9)
        weights = [secure.base + secure.per_share * share for share in shares]
        np.testing.assert_allclose(weights, plain.weights, rtol=0, atol=1e-9)


@given(st.lists(st.floats(1e-8, 1e8), min_size=3, max_size=40), st.floats(0.01, 1), st.floats(1, 4))
def test_from_sums_no_weight_exceeds_the_guard_and_all_sum_to_one(losses, progress, guard):
    *sums, shares = sums_of(losses, progress)
    secure = loss_aware_of_sums(*sums, guard=guard)
    weights = [secure.base + secure.per_share * share for share in shares]
    assert math.fsum(weights) == pytest.approx(1, abs=1e-9)
    assert max(weights) * len(losses) <= guard * (1 + 1e-9)


def test_where_one_client_lies_the_guard_is_that_of_the_plain_rule():
    losses = [1e-9, *[0.05] * 9]  # of one that differs and others alike, the bound is what there is
    *sums, _ = sums_of(losses, 0.01)
    plain = loss_aware(losses, progress=0.01, guard=1.5)
    assert plain.guarded == (0,)
    assert loss_aware_of_sums(*sums, guard=1.5).mixing == pytest.approx(plain.mixing, rel=1e-9)


@pytest.mark.parametrize("sums", [(0, 1), (-1, 1), (3, -3), (3, 1)], ids=str)
def test_sums_that_nobody_can_have_are_refused(sums):
    with pytest.raises(AggregationError, match="the shares of 3 clients can't have these sums"):
        loss_aware_of_sums(3, *map(Fraction, sums))


def test_equal_losses_are_at_no_distance():
    *sums, _ = sums_of([0.0371] * 7, 0.3)
    assert loss_aware_of_sums(*sums).hellinger == 0
