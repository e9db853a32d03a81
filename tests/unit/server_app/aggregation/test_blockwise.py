"""Promises: sums and trimmed sums over blocks are those over arrays; threads and places change no bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_app.aggregation import blockwise
from server_app.aggregation.blockwise import products, trimmed_mean, weighted_mean
from server_app.aggregation.values import InFile, InMemory, Shortened


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blockwise, "_LEAST", 7)
    monkeypatch.setattr(blockwise, "_TOGETHER", 40)


def make(clients, seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    shapes = {"a": (3, 5, 4), "b": (), "c": (11,), "none": (0,)}

    def draw():
        return {name: np.asarray(generator.standard_normal(shape), dtype) for name, shape in shapes.items()}

    return draw(), [draw() for _ in range(clients)]


def stacked(clients, name):
    return np.stack([client[name].astype(np.float64) for client in clients])


DTYPES = st.sampled_from([np.float16, np.float32, np.float64])


@given(count=st.integers(1, 9), seed=st.integers(0, 99), dtype=DTYPES)
def test_a_weighted_mean(count, seed, dtype):
    model, clients = make(count, seed, dtype)
    weights = np.random.default_rng(seed).dirichlet(np.ones(count))
    new = dict(weighted_mean([InMemory(client) for client in clients], weights, model))
    assert list(new) == list(model)
    for name, values in new.items():
        expected = np.tensordot(weights, stacked(clients, name), 1)
        assert (values.dtype, values.shape) == (dtype, model[name].shape)
        np.testing.assert_allclose(
            values, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps
        )


@given(count=st.integers(3, 9), seed=st.integers(0, 99))
def test_a_trimmed_mean_of_equal_weights_is_scipys(count, seed):
    model, clients = make(count, seed)
    cut = (count - 1) // 3
    new = dict(trimmed_mean([InMemory(c) for c in clients], [1 / count] * count, model, cut=cut))
    for name, values in new.items():
        expected = np.sort(stacked(clients, name), axis=0)[cut : count - cut].mean(axis=0)
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)


def test_equal_values_are_cut_as_many_times_as_any():
    model = {"a": np.zeros(1, np.float32)}
    clients = [InMemory({"a": np.asarray([value], np.float32)}) for value in (5, 5, 5, 1)]
    assert dict(trimmed_mean(clients, [0.25] * 4, model, cut=1))["a"] == [5]


@given(count=st.integers(1, 9), seed=st.integers(0, 99))
def test_products_with_the_sum(count, seed):
    model, clients = make(count, seed)
    scales = np.random.default_rng(seed).uniform(0.1, 2, count)
    dots, square = products([InMemory(client) for client in clients], scales, model)
    steps = [
        scale * np.concatenate([(client[name] - model[name]).ravel() for name in model])
        for scale, client in zip(scales, clients, strict=True)
    ]
    total = np.sum(steps, axis=0, dtype=np.float64)
    np.testing.assert_allclose(dots, [step @ total for step in steps], rtol=1e-5, atol=1e-5)
    assert square == pytest.approx(total @ total, rel=1e-5)


@pytest.mark.parametrize("threads", [1, 4])
def test_neither_threads_nor_places_change_a_bit(threads, monkeypatch, tmp_path):
    model, clients = make(5)
    weights = [0.1, 0.2, 0.3, 0.15, 0.25]
    expected = dict(weighted_mean([InMemory(client) for client in clients], weights, model))
    monkeypatch.setattr("server_app.aggregation.threads.MOST_THREADS", threads)
    stored = [InFile(tmp_path / str(k), client) for k, client in enumerate(clients)]
    for name, values in weighted_mean(stored, weights, model):
        assert values.tobytes() == expected[name].tobytes()


def test_a_share_of_the_way():
    model, (client,) = make(1)
    half = Shortened(InMemory(client), model, 0.5)
    assert dict(half).keys() == model.keys()
    np.testing.assert_allclose(half["a"], (model["a"] + client["a"]) / 2, atol=1e-6)
    assert half["a"].dtype == np.float32
    assert half.part("a", 5, 8).tolist() == half["a"].ravel()[5:8].tolist()
