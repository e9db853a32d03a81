"""Promises: a seed is a pure function of its parts, the same everywhere, and different parts differ."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.seeds import derive

PARTS = st.lists(st.integers() | st.text(max_size=8), max_size=4)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), 8238016292129134938),
        ((0, "model"), 8645648053491204272),
        ((0, "train", 1, "partition-0"), 4093881852662097665),
        ((1, "cohort", 2), 3200854605161460811),
    ],
)
def test_known_values(parts, expected):
    # Another value would be another run: results of earlier versions could not be reproduced.
    assert derive(*parts) == expected


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_gives_the_same(hash_seed):
    script = "from fedvsr_core.seeds import derive; print(derive(7, 'train', 3, 'site é'))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == derive(7, "train", 3, "site é")


@given(PARTS)
def test_it_fits_the_generators_of_torch_and_numpy(parts):
    assert 0 <= derive(*parts) < 2**63


@given(PARTS, PARTS)
def test_equal_parts_alone_give_equal_seeds(first, second):
    assert (derive(*first) == derive(*second)) == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("1", 1), (1, "1")),
        ((1,), ("1",)),
        ((12, 3), (1, 23)),
        (("a", "b"), ("a/b",)),
        (("a", "b"), ("a/str:b",)),
        (("a/b",), ("a%2Fb",)),
        ((), ("",)),
        (("",), ("", "")),
    ],
)
def test_no_collisions(first, second):
    assert derive(*first) != derive(*second)
