"""Promises: every strategy of ``conf/`` runs, leaves faulty clients out, and resumes to the bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.serverapp.strategy import dp_fixed_clipping

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from fedvsr_core.models.recurrent import Recurrent
from server_app.checkpoints import LAST, load_round
from server_app.config import options
from server_app.strategies.stock import Stock, adapted
from tests.unit.server_app.test_rounds import FAULTS, Run, answering

STRATEGIES = options("strategy")
CLIENTS = {"fedtrimmedavg": 7, "krum": 7, "multikrum": 7, "bulyan": 9}
"""Two more than it takes, for the faulty ones; four for all others."""
SCAFFOLD = "server_app.strategies.scaffold.Scaffold +strategy.server.strategy.step_size=1.0"
PRIVATE = ("dp_fixed", "dp_adaptive")
STATEFUL = (
    "scaffold",
    "fedsr",
    "fedavgm",
    "fedadam",
    "fedadagrad",
    "fedyogi",
    "fedvsr_ahead",
    "fedavg_ahead",
)


def test_they_were_found():
    assert len(STRATEGIES) >= 26
    assert {"fedvsr", "fedavg", *STATEFUL, *PRIVATE, *CLIENTS} <= set(STRATEGIES)


def settings_of(tiny, strategy, overrides="", clients=4):
    told = f"strategy.server.num_sampled_clients={clients}" if strategy in PRIVATE else ""
    return tiny(f"evaluation.every=9 {told} {overrides}", strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_rounds_with_a_failing_and_a_nan_client(tiny, client_grid, tmp_path, strategy):
    clients = CLIENTS.get(strategy, 4)
    run = Run(settings_of(tiny, strategy, clients=clients), client_grid(clients), tmp_path / "runs")
    before = run.weights()
    run.grid.spoil = {0: answering(FAULTS["error"]), 1: FAULTS["non-finite"]}
    run.go()
    for line in run.lines("train"):
        assert {one["client"]: one["code"] for one in line["refused"]} == {
            "partition-0": "error",
            "partition-1": "non-finite",
        }
        assert len(line["clients"]) == clients - 2
        assert not line["kept-model"]
    after = load_round(run.dir.checkpoints / LAST).state
    assert any((after[name] != before[name]).any() for name in after)
    for name, tensor in after.items():
        assert tensor.dtype == before[name].dtype
        assert tensor.isfinite().all()


@pytest.fixture
def late(monkeypatch):
    """The first convolution that a forward pass calls is one that may start to learn later."""
    monkeypatch.setattr(Recurrent, "late", ("forwards.enter",))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_frozen_part_begins_to_learn_in_mid_run(tiny, client_grid, tmp_path, late, strategy):
    clients = CLIENTS.get(strategy, 4)
    settings = settings_of(tiny, strategy, "rounds=3 flow.frozen_steps=1", clients)
    run = Run(settings, client_grid(clients), tmp_path / "whole").go()
    assert [line["refused"] for line in run.lines("train")] == [[]] * 3
    assert not any(line["kept-model"] for line in run.lines("train"))
    bytes_down = [line["bytes-down"] for line in run.lines("train")]
    assert bytes_down[0] < bytes_down[1] == bytes_down[2]
    start = Run(settings, client_grid(clients), tmp_path / "start").weights()
    assert (run.weights()["forwards.enter.weight"] != start["forwards.enter.weight"]).any()


@pytest.mark.parametrize("strategy", STATEFUL)
def test_a_run_resumes_where_a_frozen_part_begins_to_learn(tiny, client_grid, tmp_path, late, strategy):
    settings = settings_of(tiny, strategy, "rounds=3 flow.frozen_steps=1")
    whole = Run(settings, client_grid(4), tmp_path / "whole").go()
    broken = Run(settings, client_grid(4), tmp_path / "broken")
    broken.grid.spoil[3] = interrupted_after(broken, 1)
    with pytest.raises(KeyboardInterrupt):
        broken.go()
    assert load_round(broken.dir.checkpoints / LAST).round == 1
    resumed = broken.resume(client_grid(4, first_node=900))
    kept, expected = (load_round(run.dir.checkpoints / LAST) for run in (resumed, whole))
    for name, tensor in expected.state.items():
        assert torch.equal(kept.state[name], tensor), name
    assert kept.strategy_state.keys() == expected.strategy_state.keys()
    for name, array in expected.strategy_state.items():
        np.testing.assert_array_equal(kept.strategy_state[name], array)


@pytest.mark.parametrize("strategy", ["multikrum", "fedtrimmedavg"])
def test_too_few_replies_for_the_promise_leave_the_model(tiny, client_grid, tmp_path, caplog, strategy):
    # 5 clients are enough to bear one liar; of the 3 that are left when two fail, he would be one.
    run = Run(settings_of(tiny, strategy, clients=5), client_grid(5), tmp_path / "runs")
    before = run.weights()
    run.grid.spoil = dict.fromkeys((0, 1), answering(FAULTS["error"]))
    with pytest.raises(FederationError, match="2 rounds in a row"):
        run.go()
    assert [line["kept-model"] for line in run.lines("train")] == [True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.weights().items())
    assert "needs at least 5 sound replies, got 3; the model stays as it was" in caplog.text


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_head_says_whether_all_updates_are_in_memory(tiny, strategy):
    server = adapted(build(tiny("", strategy).strategy.server, num_rounds=2))
    said = "# Keeps all updates of a round in memory.\n" in Path(f"conf/strategy/{strategy}.yaml").read_text()
    assert said == isinstance(server, Stock)


def test_a_giant_variate_is_refused_from_the_first_round_on(tiny, client_grid, tmp_path):
    # A thousand everywhere passes as finite, and would stay in the server's variate for the whole run.
    def giant(reply):
        variates = to_arrays(reply.content[keys.VARIATES])
        reply.content[keys.VARIATES] = record_from_arrays(
            {name: np.full_like(array, 1000) for name, array in variates.items()}
        )
        return reply

    run = Run(settings_of(tiny, "scaffold", "rounds=3"), client_grid(4), tmp_path / "runs")
    run.grid.spoil[1] = giant
    run.go()
    for line in run.lines("train"):
        [refused] = line["refused"]
        assert (refused["client"], refused["code"]) == ("partition-1", "norm")
        assert refused["reason"].startswith(f"its '{keys.VARIATES}' has the norm ")
    assert all(np.abs(variate).max() < 10 for variate in run.strategy.state().values())


def interrupted_after(run, done):
    """What stops a run when so many rounds are done and one client of the next has replied."""

    def stop(reply):
        if len(run.lines("train")) == done:
            raise KeyboardInterrupt
        return reply

    return stop


@pytest.mark.parametrize("strategy", STATEFUL)
def test_a_stateful_strategy_resumes_to_the_bit(tiny, client_grid, tmp_path, strategy):
    settings = settings_of(tiny, strategy, "rounds=3 cohort.upload_failure=0.3")
    whole = Run(settings, client_grid(4), tmp_path / "whole").go()
    assert any(one["code"] == "lost" for line in whole.lines("train") for one in line["refused"])
    broken = Run(settings, client_grid(4), tmp_path / "broken")
    broken.grid.spoil[3] = interrupted_after(broken, 2)
    with pytest.raises(KeyboardInterrupt):
        broken.go()
    assert load_round(broken.dir.checkpoints / LAST).round == 2
    assert broken.resume(client_grid(4, first_node=900)).last() == whole.last()


def test_the_adaptive_clipping_norm_is_resumed(tiny, client_grid, tmp_path):
    run = Run(settings_of(tiny, "dp_adaptive"), client_grid(4), tmp_path / "runs").go()
    kept = load_round(run.dir.checkpoints / LAST).strategy_state
    assert set(kept) == {"clipping_norm"}
    assert kept["clipping_norm"] != 0.1
    assert run.lines("train")[0]["clipping-norm"] == 0.1
    again = adapted(build(run.settings.strategy.server))
    again.load_state(kept)
    assert again.state() == kept


def test_noise_is_that_for_the_replies_that_count(tiny, client_grid, tmp_path, monkeypatch):
    run = Run(settings_of(tiny, "dp_fixed"), client_grid(4), tmp_path / "runs")
    run.grid.spoil = {0: answering(FAULTS["error"])}
    asked = []
    real = dp_fixed_clipping.compute_stdv
    monkeypatch.setattr(dp_fixed_clipping, "compute_stdv", lambda *args: asked.append(args) or real(*args))
    run.go()
    assert asked == [(0.01, 1.0, 3)] * 2


@pytest.mark.parametrize(
    ("strategy", "clients", "overrides", "sentence"),
    [
        ("bulyan", 4, "", r"^Bulyan needs at least 7 clients in a round with these arguments, got 4"),
        ("krum", 4, "", r"^Krum needs at least 5 clients"),
        ("fedtrimmedavg", 4, "", r"^FedTrimmedAvg needs at least 5 clients"),
        ("dp_fixed", 4, "", r"told of 10 clients in a round, but 4 take part; set .*num_sampled_clients=4"),
        ("qfedavg", 4, "strategy.server.train_loss_key=train_loss", r"train_loss_key must be 'loss'"),
        ("fedadam", 4, "+strategy.server.fraction_train=0.5", r"fraction_train must be 1, got 0.5"),
        ("fedavg", 4, "strategy.server._target_=flwr.serverapp.strategy.FedXgbCyclic", r"it combines trees"),
        *(
            ("dp_fixed", 10, f"strategy.server.strategy._target_={inner}", sentence)
            for inner, sentence in (
                (
                    "server_app.strategies.fedavg.FedAvg",
                    r"must wrap a mean of equal weights.* got FedAvg; set",
                ),
                ("flwr.serverapp.strategy.FedAvg", r"must wrap a mean of equal weights.* got FedAvg; set"),
                ("server_app.strategies.elementwise.FedMedian", r"got FedMedian; set .*uniform.Uniform"),
            )
        ),
        ("dp_adaptive", 10, f"strategy.server.strategy._target_={SCAFFOLD}", r"got Scaffold; set"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_preconditions_are_checked_before_the_first_round(
    tiny, client_grid, tmp_path, strategy, clients, overrides, sentence
):
    grid = client_grid(clients)
    with pytest.raises((ConfigurationError, FederationError), match=sentence):
        Run(tiny(overrides, strategy), grid, tmp_path / "runs").go()
    assert not [message for message in grid.pushed if message.metadata.message_type == "train"]


def test_permuted_arrays_of_a_client_change_nothing(tiny, client_grid, tmp_path):
    def permuted(reply):
        arrays = reply.content["arrays"]
        reply.content["arrays"] = type(arrays)(dict(reversed(list(arrays.items()))))
        return reply

    runs = []
    for spoil in ({}, {0: permuted}):
        run = Run(settings_of(tiny, "fedavgm"), client_grid(4), tmp_path / str(len(runs)))
        run.grid.spoil = spoil
        runs.append(run.go().last())
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("server", "ours"), [("FedAvg", "fedavg"), ("FedMedian", "fedmedian")])
def test_flowers_and_ours_agree(tiny, client_grid, tmp_path, server, ours):
    torch.manual_seed(0)
    one_round = "rounds=1"  # of the next one, Adam makes more out of a last bit
    theirs = tiny(f"{one_round} strategy.server._target_=flwr.serverapp.strategy.{server}", "fedavg")
    weights = [
        Run(settings, client_grid(3), tmp_path / str(index)).go().weights()
        for index, settings in enumerate((theirs, tiny(one_round, ours)))
    ]
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(tensor, weights[1][name], rtol=1e-6, atol=1e-8)


def moved_by_hand(strategy, server_round, delta, memory):
    """What a server optimiser adds to the model; Reddi et al., algorithm 2, with Flower's bias correction."""
    m, v = memory
    if strategy == "fedavgm":  # the pseudo-gradient is -delta, and the step size 1
        return 0.9 * m + delta, (0.9 * m + delta, v)
    m = delta if strategy == "fedadagrad" else 0.9 * m + 0.1 * delta
    v = {
        "fedadagrad": v + delta**2,
        "fedadam": 0.99 * v + 0.01 * delta**2,
        "fedyogi": v - 0.01 * delta**2 * np.sign(v - delta**2),
    }[strategy]
    rate = 0.01
    if strategy == "fedadam":
        rate *= np.sqrt(1 - 0.99 ** (server_round + 1)) / (1 - 0.9 ** (server_round + 1))
    return rate * m / (np.sqrt(v) + 1e-3), (m, v)


@pytest.mark.parametrize("strategy", ["fedavgm", "fedadam", "fedyogi", "fedadagrad"])
def test_two_rounds_of_a_server_optimiser_by_hand(tiny, client_grid, tmp_path, strategy, caplog):
    run = Run(settings_of(tiny, strategy), client_grid(3), tmp_path / "runs")
    models, returned = [run.weights()], []

    def spoil(reply):
        numbers = reply.content["metrics"]
        returned.append((numbers["num-examples"], to_arrays(reply.content["arrays"])))
        return reply

    run.grid.spoil = dict.fromkeys(range(3), spoil)
    run.go()
    assert (strategy == "fedavgm") == ("moves the model 10 times as far as the mean" in caplog.text)
    models += [load_round(run.dir.checkpoints / f"round-000{number}.safetensors").state for number in (1, 2)]
    for name, start in models[0].items():
        w, memory = start.numpy().astype(np.float64), (0.0, 0.0)
        for server_round in (1, 2):
            replies = returned[3 * (server_round - 1) : 3 * server_round]
            total = sum(examples for examples, _ in replies)
            mean = sum(examples / total * arrays[name].astype(np.float64) for examples, arrays in replies)
            move, memory = moved_by_hand(strategy, server_round, mean - w, memory)
            w = w + move
            found = models[server_round][name].numpy()
            np.testing.assert_allclose(found, w, rtol=0, atol=2e-5, err_msg=f"{name}, round {server_round}")
