"""Promises: judged together, an update far from the others' counts less or not at all, in any order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.settings import Screening
from server_app.screening import Screen
from tests.unit.server_app.sites import Received, Sites

LIMITS = Screening(
    clip=1.5,
    norm_factor=20,
    opposed=-0.05,
    examples_factor=3,
    roll_back=None,
    max_loss=1e6,
    max_examples=10**7,
)


STRICT = LIMITS.model_copy(update={"agreement": 0.5})


def screened(sites, moves, *, limits=LIMITS, counts=(), order=None, **options):
    """What becomes of clients that move the model's bias so far."""
    replies = []
    for k, move in enumerate(moves):
        arrays = {**sites.model, "conv.bias": sites.model["conv.bias"] + np.asarray(move, np.float32)}
        replies.append(sites.reply(k, arrays=arrays, **({"examples": counts[k]} if counts else {})))
    received = Received(sites, [replies[k] for k in order or range(len(replies))]).all()
    return Screen(limits, sites.model, **options).judge(received.updates)


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


def test_who_points_against_most_others_is_refused(sites):
    result = screened(sites, [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [-1.5, 0, 0, 0]])
    assert [update.client for update in result.updates] == ["c0", "c1", "c2"]
    (refusal,) = result.refused
    assert (refusal.client, refusal.code) == ("c3", "opposed")
    assert (
        refusal.reason == "its update doesn't go the others' way (median cosine -0.71, usual 0.50)"
    )  # -1, -0.71 and -0.71; the others' medians are 0.71, 0.5 and 0.5


def test_agreements_by_hand(sites):
    result = screened(sites, [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]])
    half = math.sqrt(0.5)
    # of two cosines the larger: 0 and 0.71, 0 and 0.71, 0.71 and 0.71
    assert [result.facts[f"c{k}"]["agreement"] for k in range(3)] == pytest.approx([half] * 3)


def crowd(honest, cosine, lies):
    """Unit updates, honest ones with the same angle to each other, and lies that are made of them."""
    common, own = math.sqrt(cosine), math.sqrt(1 - cosine)
    true = [common * np.eye(honest + 1)[0] + own * np.eye(honest + 1)[k + 1] for k in range(honest)]
    return true, [lie(true) for lie in lies]


LIES = {
    "each reversed": lambda number: lambda true: -true[number % len(true)],
    "all reversed": lambda number: lambda true: -1.5 * sum(true) / np.linalg.norm(sum(true)),
    "one framed": lambda number: lambda true: sum(true[1:]) - 1.85 * true[0],
}


@given(
    honest=st.integers(2, 8),
    liars=st.integers(1, 3),
    cosine=st.floats(0.06, 0.95),
    lie=st.sampled_from(["each reversed", "all reversed"]),
)
def test_a_minority_that_reverses_is_refused_and_nobody_else(honest, liars, cosine, lie):
    liars = min(liars, (honest - 1) // 2 + (honest == 2))
    true, lies = crowd(honest, cosine, [LIES[lie](number) for number in range(liars)])
    result = judged([*true, *lies])
    assert {refusal.client for refusal in result.refused} == {f"c{honest + k}" for k in range(liars)}


@given(cosine=st.floats(0.06, 0.95), limits=st.sampled_from([LIMITS, STRICT]))
def test_nobody_gets_an_honest_client_refused(cosine, limits):
    true, lies = crowd(3, cosine, [LIES["one framed"](0)])
    assert {refusal.client for refusal in judged([*true, *lies], limits).refused} <= {"c3"}


def judged(moves, limits=LIMITS):
    sites = Sites(len(moves))
    weight = np.zeros(sites.model["conv.weight"].size)
    replies = []
    for k, move in enumerate(moves):
        weight[: len(move)] = move
        step = np.asarray(weight.reshape(sites.model["conv.weight"].shape), np.float32)
        replies.append(
            sites.reply(k, arrays={**sites.model, "conv.weight": sites.model["conv.weight"] + step})
        )
    return Screen(limits, sites.model).judge(Received(sites, replies).all().updates)


def test_of_two_nobody_knows_which_is_wrong(sites):
    result = screened(sites, [[1, 0, 0, 0], [-1, 0, 0, 0]])
    assert len(result.updates) == 2


def test_a_count_decides_no_more_than_a_multiple_of_the_others(sites):
    result = screened(sites, [[1, 0, 0, 0]] * 4, counts=[10, 20, 30, 10**7])
    assert [update.examples for update in result.updates] == [10, 20, 30, 60]
    assert result.facts["c3"]["counted-examples"] == 60


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
    replies = []
    for k, size in enumerate([1.0, 1.0, 15.0, 25.0]):
        reply = sites.reply(k, arrays=sites.arrays(0))
        reply.content["variates"] = record_from_arrays(
            {name: np.full_like(array, size) for name, array in sites.model.items()}
        )
        replies.append(reply)
    updates = Received(sites, replies, extra=["variates"]).all().updates
    result = Screen(LIMITS, sites.model, extra=["variates"]).judge(updates)
    assert result.updates[2].extra["variates"].arrays["scale"] == 15.0
    (refusal,) = result.refused
    assert refusal.reason.startswith("its 'variates' has the norm ")


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


def test_strictly_who_agrees_less_than_half_as_much_is_refused(sites):
    moves = [[1, 0.1, 0, 0], [1, -0.1, 0, 0], [1, 0, 0.1, 0], [0.3, 0, 0, 1]]
    assert [refusal.client for refusal in screened(sites, moves, limits=STRICT).refused] == ["c3"]
    assert screened(sites, moves).refused == []


def test_who_did_not_move_says_nothing(sites):
    moves = [[1, 0, 0, 0], [1, 0.1, 0, 0], [1, 0, 0.1, 0], [-1, 0, 0, 0], [0, 0, 0, 0]]
    result = screened(Sites(5), moves, limits=STRICT)
    assert [refusal.client for refusal in result.refused] == ["c3"]
    assert "agreement" not in result.facts["c4"]


@pytest.mark.parametrize("moves", [[[1, 0, 0, 0]], [[1, 0, 0, 0], [1e-3, 0, 0, 0]]])
def test_one_of_two_cannot_shut_the_other_out(sites, moves):
    result = screened(sites, moves, counts=[1000, 1][: len(moves)])
    assert result.refused == []
    assert moved(sites, result.updates[0]) == [1, 0, 0, 0]
    assert result.updates[0].examples == 1000
