"""Every strategy of ``conf/`` in the real engine, with one client that fails and one that returns NaN."""

import pytest

from server_app.checkpoints import load_round
from server_app.config import options
from tests.unit.server_app.test_every_strategy import CLIENTS, PRIVATE

STRATEGIES = options("strategy")
AT_ONCE = 3
"""Runs that share the machine: most of a run's time is waiting for the engine."""
SIZE = (
    "rounds=2 training.batch=1 data.clips=9 data.held_out_clips=1 data.frames=8 data.height=16 data.width=16"
    " evaluation.every=2 run.keep=3"
)


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, len(STRATEGIES), AT_ONCE), ids=lambda first: STRATEGIES[first])
def test_two_rounds_with_a_failing_and_a_nan_client(federation, faulty_app, first):
    assert len(STRATEGIES) >= 26
    federation.faults({number: {"0": "raise", "1": "nan-weights"} for number in ("1", "2")})
    started = {}
    for strategy in STRATEGIES[first : first + AT_ONCE]:
        clients = CLIENTS.get(strategy, 4)
        told = f" strategy.server.num_sampled_clients={clients}" if strategy in PRIVATE else ""
        started[strategy] = federation.submit(
            faulty_app,
            overrides=SIZE + told,
            strategy=strategy,
            federation=f"num-supernodes={clients} client-resources-num-cpus=1 init-args-num-cpus=1",
        )
    for strategy, run in started.items():
        run.finish()
        trained = run.trained()
        assert sorted(trained) == [1, 2], strategy
        for line in trained.values():
            assert {one["client"]: one["code"] for one in line["refused"]} == {
                "partition-0": "error",
                "partition-1": "non-finite",
            }, strategy
            assert len(line["clients"]) == CLIENTS.get(strategy, 4) - 2
            assert not line["kept-model"]
        before, after = (
            load_round(run.dir.checkpoints / f"round-000{number}.safetensors").state for number in (0, 2)
        )
        assert any((after[name] != before[name]).any() for name in after), strategy
        assert all(tensor.isfinite().all() for tensor in after.values()), strategy
