"""Promises: a run of secure rounds resumes to the bit, and sites that insist take part in no other."""

import pytest

from fedvsr_core.errors import ConfigurationError
from server_app.checkpoints import LAST, load_round
from tests.unit.server_app.test_rounds import Run


def go(tiny, grid, root, overrides="", **options):
    return Run(tiny(f"secure.enabled=true data.clips=3 {overrides}", "fedvsr_ahead"), grid, root, **options)


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tiny, client_grid, tmp_path):
    whole = go(tiny, client_grid(3), tmp_path / "whole").go()
    assert [line["kept-model"] for line in whole.lines("train")] == [False, False]
    cut = go(tiny, client_grid(3), tmp_path / "cut")
    grid_push = cut.grid.push_messages

    def push(messages):
        [message] = messages
        config = message.content.config_records.get("config", {})
        if message.metadata.message_type.endswith("vector") and config["server-round"] == 2:
            raise RuntimeError("killed")
        return grid_push(messages)

    cut.grid.push_messages = push
    with pytest.raises(RuntimeError, match="killed"):
        cut.go()
    assert load_round(cut.dir.checkpoints / LAST).round == 1
    cut.resume(client_grid(3, first_node=500))
    for name, tensor in load_round(whole.dir.checkpoints / LAST).state.items():
        assert tensor.equal(load_round(cut.dir.checkpoints / LAST).state[name])


def test_sites_that_insist_decline_plain_rounds(tiny, client_grid, tmp_path):
    def insisting():
        grid = client_grid(3)
        for config in grid._config.values():
            config["secure"] = True
        return grid

    secure = go(tiny, insisting(), tmp_path / "secure", "rounds=1").go()
    assert len(secure.lines("train")[0]["clients"]) == 3
    plain = Run(tiny("data.clips=3 rounds=2", "fedvsr"), insisting(), tmp_path / "plain")
    with pytest.raises(Exception, match="too few sound replies"):
        plain.go()
    refused = plain.lines("train")[0]["refused"]
    assert [refusal["code"] for refusal in refused] == ["declined"] * 3
    assert "rounds without secure aggregation" in refused[0]["reason"]


def test_two_clients_are_refused_before_a_round(tiny, client_grid, tmp_path):
    with pytest.raises(ConfigurationError, match="needs at least 3 clients in a round, got 2"):
        go(tiny, client_grid(2), tmp_path).go()
