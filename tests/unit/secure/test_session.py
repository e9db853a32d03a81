"""Promises: a session protects its clients, or there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.errors import SecureError
from fedvsr_core.secure.session import Roster, chained, needed, pair_sign


def roster(count, threshold=0.6, **changes):
    keys = {f"c{k:03d}": (bytes([k % 256]) * 32,) * 3 for k in range(count)}
    return Roster.of(keys, threshold, **({"run": "r", "server_round": 1, "session": "s"} | changes))


@given(st.integers(3, 500), st.floats(0.5, 1, exclude_min=True))
def test_more_than_a_half_and_three_at_least_are_needed(count, threshold):
    least = needed(count, threshold)
    assert least >= 3
    assert 2 * least > count
    assert least <= max(3, count)


@pytest.mark.parametrize(("count", "least"), [(3, 3), (4, 3), (5, 3), (6, 4), (10, 6), (33, 20)])
def test_by_hand(count, least):
    assert needed(count, 0.6) == least


@pytest.mark.parametrize("count", [3, 32, 33, 100])
def test_neighbours_are_mutual(count):
    session = roster(count)
    for name in session.names[:40]:
        around = session.neighbours(name, session.names)
        assert len(around) == (count - 1 if count <= 32 else 32)
        assert all(name in session.holders(other) for other in around)


def test_the_transcript_has_all_of_it():
    told = {roster(5).transcript, roster(6).transcript, roster(5, 0.7).transcript}
    told |= {
        roster(5, **change).transcript for change in ({"run": "q"}, {"server_round": 2}, {"session": "t"})
    }
    assert len(told) == 6
    assert chained(b"", ["a", "b"]) != chained(b"", ["ab"])


def test_what_protects_nobody_is_refused():
    with pytest.raises(SecureError, match="needs 3 clients or more, got 2"):
        roster(2)
    with pytest.raises(SecureError, match=r"more than a half and at most 1, got 0.5"):
        roster(5, 0.5)
    session = roster(5)
    with pytest.raises(SecureError, match="3 of 5 clients must be left, got 2"):
        session.check("c000", ["c000", "c001"])
    with pytest.raises(SecureError, match="or not this one"):
        session.check("c000", ["c001", "c002", "c003"])
    many = roster(100)
    far = [name for name in many.names if name not in many.holders("c000")]
    with pytest.raises(SecureError, match="neighbours and itself must be left, got 1"):
        many.check("c000", ["c000", *far])


def test_one_adds_what_the_other_subtracts():
    assert pair_sign("a", "b") == -pair_sign("b", "a")
