"""Promises: judged together, an update far from the others' counts less or not at all, in any order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.settings import Screening
from server_app.norms import Norms
from server_app.screening import Screen
from tests.unit.server_app.sites import Received, Sites

LIMITS = Screening(
    clip=1.5,
    norm_factor=20,
    opposed=-0.3,
    examples_factor=3,
    roll_back=None,
    max_loss=1e6,
    max_examples=10**7,
)


def screened(sites, moves, *, limits=LIMITS, norms=None, counts=(), order=None, **options):
    """What becomes of clients that move the model's bias so far."""
    replies = []
    for k, move in enumerate(moves):
        arrays = {**sites.model, "conv.bias": sites.model["conv.bias"] + np.asarray(move, np.float32)}
        replies.append(sites.reply(k, arrays=arrays, **({"examples": counts[k]} if counts else {})))
    received = Received(sites, [replies[k] for k in order or range(len(replies))]).all()
    screen = Screen(limits, sites.model, norms=norms or {"arrays": Norms()}, **options)
    return screen.judge(received.updates)


def moved(sites, update):
    return (update.arrays["conv.bias"] - sites.model["conv.bias"]).tolist()


def test_a_long_update_is_shortened_to_a_multiple_of_the_usual_one(sites):
    result = screened(sites, [[1, 0, 0, 0], [0.9, 0, 0, 0], [1.1, 0, 0, 0], [9, 0, 0, 0]])
    assert [update.client for update in result.updates] == ["c0", "c1", "c2", "c3"]
    assert moved(sites, result.updates[3]) == pytest.approx([1.5, 0, 0, 0])
    assert result.updates[3].model.norm == pytest.approx(1.5)
    assert result.facts["c3"]["norm"] == pytest.approx(9)
    assert result.facts["c3"]["shortened"] == pytest.approx(1.5 / 9)
    assert "shortened" not in result.facts["c2"]
    np.testing.assert_array_equal(result.updates[3].record()["conv.bias"].numpy(), [1.5, 0, 0, 0])


def test_far_beyond_it_is_refused(sites):
    result = screened(sites, [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [21, 0, 0, 0]])
    assert [(refusal.client, refusal.node, refusal.code) for refusal in result.refused] == [
        ("c3", 103, "norm")
    ]
    assert result.refused[0].reason == "its update has the norm 21, the bound is 20"


def test_who_points_against_the_others_is_refused_and_named(sites):
    result = screened(sites, [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [-1.5, 0, 0, 0]])
    assert [update.client for update in result.updates] == ["c0", "c1", "c2"]
    (refusal,) = result.refused
    assert (refusal.client, refusal.code) == ("c3", "opposed")
    assert refusal.reason == "its update doesn't go the others' way (cosine -0.92, the median is 0.38)"
    # (-1, 0, 0) to (1, 0, 0) + (1, 1, 0) / sqrt(2) + (1, 0, 1) / sqrt(2): -2.414 / sqrt(6.828)
    assert result.against == {"c3"}


def test_cosines_by_hand(sites):
    result = screened(sites, [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]])
    # (1, 0) to (0, 1) + (1, 1) / sqrt(2), at 67.5 degrees; (0, 1) alike; (1, 1) to (1, 1)
    third = math.cos(math.radians(67.5))
    cosines = [result.facts[f"c{k}"]["cosine"] for k in range(3)]
    assert cosines == pytest.approx([third, third, 1.0])


def test_of_two_nobody_knows_which_is_wrong(sites):
    result = screened(sites, [[1, 0, 0, 0], [-1, 0, 0, 0]])
    assert len(result.updates) == 2


def test_a_count_decides_no_more_than_a_multiple_of_the_others(sites):
    result = screened(sites, [[1, 0, 0, 0]] * 4, counts=[10, 20, 30, 10**7])
    assert [update.examples for update in result.updates] == [10, 20, 30, 60]


def test_without_bounds_nothing_changes(sites):
    limits = LIMITS.model_copy(
        update={"clip": None, "norm_factor": None, "opposed": None, "examples_factor": None}
    )
    moves = [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [-500, 0, 0, 0]]
    result = screened(sites, moves, limits=limits, counts=[1, 1, 1, 10**6])
    assert result.refused == []
    assert moved(sites, result.updates[3]) == [-500, 0, 0, 0]
    assert result.updates[3].examples == 10**6


def test_a_strategy_that_bounds_updates_itself_gets_them_as_they_are(sites):
    result = screened(sites, [[1, 0, 0, 0]] * 3 + [[-500, 0, 0, 0]], counts_only=True)
    assert result.refused == []
    assert moved(sites, result.updates[3]) == [-500, 0, 0, 0]


def test_further_records_are_refused_far_beyond_the_usual_and_never_shortened(sites):
    norms = {"arrays": Norms(), "variates": Norms()}
    replies = []
    for k, size in enumerate([1.0, 1.0, 15.0, 25.0]):
        reply = sites.reply(k, arrays=sites.arrays(0))
        reply.content["variates"] = record_from_arrays(
            {name: np.full_like(array, size) for name, array in sites.model.items()}
        )
        replies.append(reply)
    updates = Received(sites, replies, extra=["variates"]).all().updates
    result = Screen(LIMITS, sites.model, norms=norms).judge(updates)
    assert result.updates[2].extra["variates"].arrays["scale"] == 15.0
    (refusal,) = result.refused
    assert refusal.reason.startswith("its 'variates' has the norm ")
    assert len(norms["variates"].known) == 1


@given(order=st.permutations(range(4)), seed=st.integers(0, 50))
def test_the_order_of_arrival_changes_no_bit(order, seed):
    sites, generator = Sites(4), np.random.default_rng(seed)
    moves = generator.standard_normal((4, 4)) * generator.uniform(0.1, 30, (4, 1))
    first, second = screened(sites, moves), screened(sites, moves, order=order)
    assert first.facts == second.facts
    assert first.refused == second.refused
    for one, other in zip(first.updates, second.updates, strict=True):
        assert (one.client, one.examples) == (other.client, other.examples)
        assert one.arrays["conv.bias"].tobytes() == other.arrays["conv.bias"].tobytes()


def test_usual_differences_between_clients_pass_whole(make_sites):
    sites = make_sites(8)
    moves = [[size, 0.1 * size, 0, 0] for size in np.linspace(0.9, 1.3, 8)]
    result = screened(sites, moves)
    assert len(result.updates) == 8
    assert all("shortened" not in facts for facts in result.facts.values())


def test_strictly_who_goes_the_others_way_less_than_half_as_far_is_refused(sites):
    moves = [[1, 0.1, 0, 0], [1, -0.1, 0, 0], [1, 0, 0.1, 0], [0.3, 0, 0, 1]]
    strict = LIMITS.model_copy(update={"opposed": 0.5})
    assert [refusal.client for refusal in screened(sites, moves, limits=strict).refused] == ["c3"]
    assert screened(sites, moves).refused == []


def test_where_nobody_goes_any_way_nobody_is_refused(sites):
    moves = [[1, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, -1, 0, 0]]
    assert screened(sites, moves).refused == []
