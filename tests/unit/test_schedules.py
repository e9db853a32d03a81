"""Promises: schedules are pure functions of the moment, with the values that their sentences say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.schedules import Constant, Cosine, Late, Moment, WarmUp
from server_app.config import compose, options


def factors(schedule, rounds=2, steps=2):
    """Of every step of a run, in order."""
    return [
        schedule.factor(Moment(server_round, step, rounds, steps))
        for server_round in range(1, rounds + 1)
        for step in range(steps)
    ]


@pytest.mark.parametrize(
    ("schedule", "by_hand"),
    [
        (Constant(), [1, 1, 1, 1]),
        (Cosine(), [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),  # cos of 0, 45, 90 and 135 degrees
        (Cosine(last=0.2), [1, 0.2 + 0.4 * (1 + 0.5**0.5), 0.6, 0.2 + 0.4 * (1 - 0.5**0.5)]),
        (WarmUp(share=0.5), [0.5, 1, 1, 1]),
        (WarmUp(share=1.0), [0.25, 0.5, 0.75, 1]),
        (WarmUp(share=0.0), [1, 1, 1, 1]),
        (WarmUp(share=0.5, then=Cosine()), [0.5, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
        (Late(begin=0.25, end=0.75), [0, 0, 0.5, 1]),
        (Late(begin=0.5, end=0.5), [0, 0, 1, 1]),
    ],
)
def test_by_hand(schedule, by_hand):
    assert factors(schedule) == pytest.approx(by_hand, abs=1e-12)


@given(
    share=st.floats(0, 1), last=st.floats(0, 1), rounds=st.integers(1, 6), steps=st.integers(1, 6),
)  # fmt: skip
def test_never_beyond_0_and_1_and_each_in_its_direction(share, last, rounds, steps):
    cosine = factors(Cosine(last=last), rounds, steps)
    warm = factors(WarmUp(share=share), rounds, steps)
    late = factors(Late(begin=min(share, last), end=max(share, last)), rounds, steps)
    assert cosine == sorted(cosine, reverse=True)
    assert (warm, late) == (sorted(warm), sorted(late))
    assert all(0 <= value <= 1 + 1e-12 for value in (*cosine, *warm, *late))
    assert min(warm) > 0


@pytest.mark.parametrize("name", options("schedule"))
def test_each_of_conf_starts_and_ends_in_its_range(name):
    schedule = build(compose({"overrides": f"schedule={name}"}).schedule)
    assert all(0 <= value <= 1 for value in factors(schedule, 10, 10))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Cosine(last=1.5), r"last must be in \[0, 1\], got 1.5"),
        (lambda: WarmUp(share=-0.1), r"share must be in \[0, 1\], got -0.1"),
        (lambda: Late(begin=0.6, end=0.4), r"begin must not be after end, got 0.6 and 0.4"),
    ],
)
def test_out_of_range(make, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        make()


@pytest.mark.parametrize("moment", [(0, 0, 1, 20), (3, 0, 2, 20), (1, 20, 1, 20), (1, -1, 1, 20)])
def test_a_step_outside_of_the_run_is_refused(moment):
    with pytest.raises(ConfigurationError, match="a step must be of the run"):
        Moment(*moment)


def test_a_schedule_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match=r"schedule: _target_ must name a Schedule"):
        compose({"overrides": "schedule._target_=fedvsr_core.losses.charbonnier.Charbonnier"})
