"""Promises: loops keep to the operations as written, and are compiled where nothing can be kept, too."""

import sys
from textwrap import dedent

import numpy as np
import pytest

from fedvsr_core.compiled import compiled


def load(folder, name):
    """A module of its own with one compiled loop."""
    path = folder / f"{name}.py"
    path.write_text(
        dedent("""
        from fedvsr_core.compiled import compiled
        @compiled
        def total(values):
            sum = 0.0
            for value in values:
                sum += value * value
            return sum
        """)
    )
    sys.path.insert(0, str(folder))
    try:
        return __import__(name).total
    finally:
        sys.path.remove(str(folder))


@pytest.fixture
def loop(tmp_path):
    return load(tmp_path, f"loop_{tmp_path.name.replace('-', '_')}"), tmp_path


def test_what_was_compiled_is_kept_beside_the_module(loop):
    total, folder = loop
    assert total(np.arange(4.0)) == 14
    assert list((folder / "__pycache__").glob("*.nbc"))


def test_a_sum_is_added_in_its_order(loop):
    total, _ = loop
    values = np.random.default_rng(0).normal(size=1001)
    expected = 0.0
    for value in values.tolist():
        expected += value * value
    assert total(values) == expected


def test_compiles_without_a_folder_to_keep_it_in(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    @compiled
    def twice(value):
        return 2 * value

    assert twice(21) == 42
    assert twice.signatures
