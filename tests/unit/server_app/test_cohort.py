"""Promises: clients are known by name, cohorts depend on names, seed and round, waiting ends."""

import itertools
import logging
import re

import pytest
import torch
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.errors import FederationError
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.declines import decline
from fedvsr_core.settings import Cohort
from server_app.asking import RefusedError, check_code, last_line
from server_app.cohort import Member, Members, draw, warn_of_hidden_gpu

NAMES = st.sets(st.text(max_size=6), min_size=1, max_size=12)
SEEDS = st.integers(0, 2**40)
ROUNDS = st.integers(1, 1000)


def members(grid, **changes):
    settings = {
        "clients_per_round": None,
        "nodes": None,
        "wait_s": 60,
        "timeout_s": 1,
        "min_replies": 1,
        **changes,
    }
    return Members(grid, Cohort(**settings))


class TestDraw:
    @given(NAMES, st.integers(1, 15), SEEDS, ROUNDS, st.randoms())
    def test_only_names_seed_and_round_count(self, names, count, seed, server_round, rng):
        shuffled = list(names)
        rng.shuffle(shuffled)
        once = draw(shuffled, count, seed=seed, server_round=server_round)
        rng.shuffle(shuffled)
        assert draw(iter(shuffled), count, seed=seed, server_round=server_round) == once

    @given(NAMES, st.integers(1, 15), SEEDS, ROUNDS)
    def test_a_sorted_part_of_the_size_asked_for(self, names, count, seed, server_round):
        drawn = draw(names, count, seed=seed, server_round=server_round)
        assert drawn == sorted(set(drawn))
        assert set(drawn) <= names
        assert len(drawn) == min(count, len(names))

    @given(NAMES, SEEDS, ROUNDS)
    def test_none_means_all(self, names, seed, server_round):
        assert draw(names, None, seed=seed, server_round=server_round) == sorted(names)

    def test_known_values(self):
        # Another cohort would be another run: results of earlier versions could not be reproduced.
        names = [f"partition-{index}" for index in range(10)]
        drawn = [draw(names, 3, seed=0, server_round=server_round) for server_round in (1, 2)]
        assert drawn == [
            ["partition-0", "partition-2", "partition-8"],
            ["partition-0", "partition-1", "partition-2"],
        ]

    def test_every_client_is_drawn_about_equally_often(self):
        names = [f"partition-{index}" for index in range(10)]
        drawn = [
            name
            for server_round in range(1, 501)
            for name in draw(names, 2, seed=0, server_round=server_round)
        ]
        assert all(70 <= drawn.count(name) <= 130 for name in names)  # 100 expected, sigma 9

    def test_every_pair_occurs(self):
        names = "abcd"
        rounds = [draw(names, 2, seed=0, server_round=server_round) for server_round in range(1, 101)]
        assert {tuple(pair) for pair in rounds} == set(itertools.combinations(names, 2))

    def test_seeds_differ(self):
        names = [f"partition-{index}" for index in range(40)]
        assert len({tuple(draw(names, 5, seed=seed, server_round=1)) for seed in range(20)}) == 20


class TestMembers:
    def test_they_come_in_the_order_of_their_names(self, simulation_grid, introduction, clock):
        names = {11: "b", 12: "c", 13: "a"}
        grid = simulation_grid(
            [11, 12, 13], lambda message: introduction(message, names[message.metadata.dst_node_id], of=3)
        )
        here = members(grid).gather()
        assert list(here) == ["a", "b", "c"]
        assert here["b"] == Member(client="b", node=11, device="cpu", code=code_digest(), of=3)

    def test_a_node_is_asked_once(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], introduction)
        known = members(grid)
        known.gather()
        known.online()
        assert [message.metadata.dst_node_id for message in grid.pushed] == [1, 2]
        assert {message.metadata.message_type for message in grid.pushed} == {"query"}

    def test_a_simulation_is_waited_for_to_its_last_client(self, simulation_grid, introduction, clock):
        grid = simulation_grid([1], lambda message: introduction(message, of=3))
        clock.events = {5: lambda: grid.nodes.append(2), 9: lambda: grid.nodes.append(3)}
        assert len(members(grid).gather()) == 3
        assert 9 <= clock.now < 11

    def test_a_simulation_of_one(self, simulation_grid, introduction, clock):
        assert len(members(simulation_grid([1], lambda message: introduction(message, of=1))).gather()) == 1
        assert clock.now == 0

    def test_sites_are_waited_for_until_there_are_two(self, fake_grid, introduction, clock):
        grid = fake_grid([], introduction)
        clock.events = {3: lambda: grid.nodes.append(2), 5: lambda: grid.nodes.append(3)}
        assert len(members(grid).gather()) == 2
        assert 5 <= clock.now < 7

    def test_the_configuration_says_how_many(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], lambda message: introduction(message, of=9))
        assert len(members(grid, nodes=1).gather()) == 2
        clock.events = {4: lambda: grid.nodes.append(3)}
        assert len(members(grid, nodes=3).gather()) == 3

    def test_a_slow_introduction_is_waited_for(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], lambda message: introduction(message) if clock.now >= 7 else None)
        assert len(members(grid).gather()) == 2
        assert 7 <= clock.now < 9
        assert len(grid.pushed) == 2

    def test_nodes_that_do_not_come(self, fake_grid, introduction, clock):
        sentence = (
            "^3 nodes must take part, 2 do after 60 s; start the missing SuperNodes,"
            " or lower cohort.nodes and cohort.min_replies, and resume this run$"
        )
        with pytest.raises(FederationError, match=sentence):
            members(fake_grid([1, 2], introduction), nodes=3).gather()
        assert 60 <= clock.now < 62

    def test_who_is_missing_is_named(self, fake_grid, introduction, clock, caplog):
        caplog.set_level(logging.INFO, "server_app")
        grid = fake_grid([1, 2], introduction)
        known = members(grid, min_replies=2)
        known.gather()
        grid.nodes.remove(2)
        with pytest.raises(
            FederationError, match=r"^2 nodes must take part, 1 do after 60 s; missing: site-2; start"
        ):
            known.online()
        said = [words for words in caplog.messages if words.startswith("waiting for nodes: 1 of 2 are here")]
        assert said == ["waiting for nodes: 1 of 2 are here; missing: site-2"] * 2  # twice a minute

    def test_who_took_part_before_a_resume_is_missing_too(self, fake_grid, introduction, clock):
        settings = {"clients_per_round": None, "nodes": 2, "wait_s": 60, "timeout_s": 1, "min_replies": 1}
        known = Members(fake_grid([1], introduction), Cohort(**settings), ["site-1", "site-9"])
        with pytest.raises(FederationError, match="after 60 s; missing: site-9; start"):
            known.gather()

    def test_a_node_that_declines_is_asked_again(self, fake_grid, introduction, clock, caplog):
        def answer(message):
            if message.metadata.dst_node_id == 2 and clock.now < 5:
                return Message(decline("configuration"), reply_to=message)
            return introduction(message)

        assert list(members(fake_grid([1, 2], answer)).gather()) == ["site-1", "site-2"]
        assert "left out node 2 (declined): it declines: its node configuration" in caplog.text

    def test_a_node_that_errs_is_named_and_asked_again(self, fake_grid, introduction, clock, caplog):
        def answer(message):
            if message.metadata.dst_node_id == 2 and clock.now < 5:
                return Message(
                    Error(0, "Traceback ...\\nDataError: no videos in '/videos'"), reply_to=message
                )
            return introduction(message)

        grid = fake_grid([1, 2], answer)
        assert list(members(grid).gather()) == ["site-1", "site-2"]
        assert [record.message for record in caplog.records if "left out" in record.message] == [
            "introductions: left out node 2 (error): error 0: DataError: no videos in '/videos'"
        ]

    def test_a_node_that_errs_for_ever(self, fake_grid, introduction, clock):
        def answer(message):
            if message.metadata.dst_node_id == 2:
                return Message(Error(0, "DataError: no videos"), reply_to=message)
            return introduction(message)

        with pytest.raises(
            FederationError,
            match="1 do after 60 s; node 2 says: error 0: DataError: no videos; start",
        ):
            members(fake_grid([1, 2], answer)).gather()

    @pytest.mark.parametrize("refused_id", [None, ""])
    def test_a_node_that_the_grid_refuses_is_asked_again(self, fake_grid, introduction, clock, refused_id):
        grid = fake_grid([1, 2], introduction)
        grid.refuses, grid.refused_id = {2}, refused_id
        clock.events = {5: grid.refuses.clear}
        assert len(members(grid).gather()) == 2

    def test_two_nodes_of_one_name_in_a_simulation(self, simulation_grid, introduction, clock):
        grid = simulation_grid(
            [1, 2, 3],
            lambda message: introduction(message, "same" if message.metadata.dst_node_id > 1 else "a", of=3),
        )
        sentence = (
            r"^two nodes \(2, 3\) are called 'same'; give each SuperNode its own 'site' or 'partition-id'"
        )
        with pytest.raises(FederationError, match=sentence):
            members(grid).gather()

    def test_a_site_that_takes_anothers_name_stays_out_from_the_start(
        self, fake_grid, introduction, clock, caplog
    ):
        names = {1: "a", 2: "same", 3: "same"}
        grid = fake_grid(
            [1, 2, 3], lambda message: introduction(message, names[message.metadata.dst_node_id])
        )
        assert {name: member.node for name, member in members(grid).gather().items()} == {"a": 1, "same": 2}
        assert "left out same (identity): its name is that of node 2, which is online; give" in caplog.text

    def test_two_nodes_of_one_name_count_once(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], lambda message: introduction(message, "same"))
        with pytest.raises(FederationError, match=r"^2 nodes must take part, 1 do after 60 s; node 2 says"):
            members(grid).gather()

    def test_a_simulation_that_runs_other_code(self, simulation_grid, introduction, clock):
        grid = simulation_grid([1, 2], lambda message: introduction(message, code="0" * 16, of=2))
        sentence = (
            rf"^client 'site-1': it runs other code \(digest 0{{16}}\) than the server \({code_digest()}\)"
        )
        with pytest.raises(FederationError, match=sentence):
            members(grid).gather()

    def test_a_site_that_runs_other_code_stays_out(self, fake_grid, introduction, clock, caplog):
        grid = fake_grid(
            [1, 2, 3],
            lambda message: introduction(
                message, code="0" * 16 if message.metadata.dst_node_id == 1 else code_digest()
            ),
        )
        assert list(members(grid).gather()) == ["site-2", "site-3"]
        assert "left out site-1 (code): it runs other code" in caplog.text

    @pytest.mark.parametrize("liar", [1, 3])
    def test_a_site_with_other_code_that_claims_a_simulation_stays_out(
        self, fake_grid, introduction, clock, caplog, liar
    ):
        def answer(message):
            if message.metadata.dst_node_id == liar:
                return introduction(message, code="0" * 16, of=1)
            return introduction(message) if clock.now >= 5 else None

        assert len(members(fake_grid([1, 2, 3], answer)).gather()) == 2
        assert f"left out site-{liar} (code): it runs other code" in caplog.text

    @pytest.mark.parametrize("code", [None, "0" * 16], ids=["same code", "other code"])
    def test_one_that_claims_a_simulation_of_one_starts_nothing_and_ends_nothing(
        self, fake_grid, introduction, clock, code
    ):
        def answer(message):
            first = message.metadata.dst_node_id == 1
            return introduction(message, of=1, code=code if first else None)

        grid = fake_grid([], answer)
        clock.events = {0.5: lambda: grid.nodes.append(1), 5: lambda: grid.nodes.extend([2, 3])}
        gathered = members(grid).gather()
        assert clock.now >= 5
        assert {"site-2", "site-3"} <= set(gathered)
        assert {member.of for member in gathered.values()} == {None}

    def test_a_node_is_who_its_key_says(self, fake_grid, introduction, clock, caplog):
        says = {1: "south", 2: "north", 3: "south"}
        grid = fake_grid([1, 2], lambda message: introduction(message, says[message.metadata.dst_node_id]))
        grid.names = {1: "mallory", 2: "north", 3: "south"}
        clock.events = {5: lambda: grid.nodes.append(3)}
        gathered = members(grid).gather()
        assert {name: member.node for name, member in gathered.items()} == {"north": 2, "south": 3}
        assert clock.now >= 5  # the impostor didn't count
        reason = "it says that it is 'south', but its key is registered as 'mallory'; let its site.toml and"
        assert caplog.text.count(f"left out mallory (identity): {reason}") == 1

    def test_a_key_without_a_name_stays_out_where_others_have_one(
        self, fake_grid, introduction, clock, caplog
    ):
        grid = fake_grid([1, 2, 3], introduction)
        grid.names = {2: "site-2", 3: "site-3"}
        assert list(members(grid).gather()) == ["site-2", "site-3"]
        reason = "it says that it is 'site-1', but its key is registered under no name; let"
        assert f"left out node 1 (identity): {reason}" in caplog.text

    def test_an_impostor_stays_out_once_the_keys_have_names(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], lambda message: introduction(message, "north"))
        grid.names = {2: "north"}
        known = members(grid, nodes=1)
        assert known.gather()["north"].node == 2
        grid.nodes.remove(2)
        with pytest.raises(FederationError, match="1 nodes must take part, 0 do after 60 s; missing: north"):
            known.online()

    def test_a_node_that_was_away_is_asked_anew(self, fake_grid, introduction, clock):
        def answer(message):
            return introduction(message) if message not in grid.pushed[2:3] else None

        grid = fake_grid([1, 2, 3], answer)
        clock.events = {2: lambda: grid.nodes.remove(3), 4: lambda: grid.nodes.append(3)}
        assert len(members(grid, nodes=3).gather()) == 3
        assert 4 <= clock.now < 6

    def test_a_query_that_was_lost_is_asked_again_after_two_minutes(self, fake_grid, introduction, clock):
        def answer(message):
            return introduction(message) if message is not grid.pushed[0] else None

        grid = fake_grid([1, 2], answer)
        assert len(members(grid, wait_s=600).gather()) == 2
        assert 120 <= clock.now < 122
        assert grid.pushed[0].metadata.ttl == 180

    def test_clients_that_take_longer_get_longer(self, fake_grid, introduction, clock):
        sent_at = {}

        def answer(message):
            began = sent_at.setdefault(message.metadata.message_id, clock.now)
            return introduction(message) if clock.now - began >= 200 else None

        grid = fake_grid([1, 2], answer)
        assert len(members(grid, wait_s=600).gather()) == 2
        assert len(grid.pushed) == 4

    def test_one_that_claims_a_huge_simulation_is_not_believed(self, fake_grid, introduction, clock):
        grid = fake_grid(
            [1, 2],
            lambda message: introduction(message, of=10**9 if message.metadata.dst_node_id == 1 else 0),
        )
        assert list(members(grid).gather()) == ["site-1", "site-2"]

    @pytest.mark.parametrize(
        "content",
        [
            {},
            {
                "about": ConfigRecord({"client": "a", "device": "cpu"}),
                "metrics": MetricRecord({"num-clients": 2}),
            },
            {"about": ConfigRecord({"client": "a", "device": "cpu", "code": "c"}), "metrics": MetricRecord()},
            {
                "about": ConfigRecord({"client": "a", "device": "cpu", "code": "c"}),
                "metrics": MetricRecord({"num-clients": float("inf")}),
            },
        ],
        ids=["nothing", "no code", "no number", "infinite"],
    )
    def test_a_node_that_runs_another_app(self, fake_grid, clock, content):
        grid = fake_grid([1, 2], lambda message: Message(RecordDict(content), reply_to=message))
        with pytest.raises(FederationError, match=r"node 1 says: it doesn't .* it runs another app; "):
            members(grid).gather()

    def test_only_nodes_that_are_here_take_part(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2, 3], introduction)
        known = members(grid)
        known.gather()
        grid.nodes.remove(2)
        assert list(known.online()) == ["site-1", "site-3"]
        grid.nodes.append(2)
        assert list(known.online()) == ["site-1", "site-2", "site-3"]
        assert clock.now == 0

    def test_a_node_that_comes_later_takes_part(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], introduction)
        known = members(grid)
        known.gather()
        grid.nodes.append(9)
        assert list(known.online()) == ["site-1", "site-2", "site-9"]

    def test_a_round_does_not_wait_for_a_stranger_that_says_nothing(self, fake_grid, introduction, clock):
        grid = fake_grid(
            [1, 2], lambda message: None if message.metadata.dst_node_id == 9 else introduction(message)
        )
        known = members(grid)
        known.gather()
        grid.nodes.append(9)
        assert list(known.online()) == ["site-1", "site-2"]
        assert list(known.online()) == ["site-1", "site-2"]
        assert clock.now == 0
        assert len(grid.pushed) == 3

    def test_a_round_waits_while_there_are_too_few(self, fake_grid, introduction, clock):
        grid = fake_grid([1, 2], introduction)
        known = members(grid, min_replies=2)
        known.gather()
        grid.nodes.remove(1)
        clock.events = {8: lambda: grid.nodes.append(1)}
        assert list(known.online()) == ["site-1", "site-2"]
        assert 8 <= clock.now < 10

    def test_a_node_with_a_new_id_keeps_its_name(self, fake_grid, introduction, clock):
        grid = fake_grid(
            [1, 2], lambda message: introduction(message, f"site-{message.metadata.dst_node_id % 10}")
        )
        known = members(grid)
        known.gather()
        grid.nodes = [1, 12]
        assert known.online()["site-2"].node == 12

    def test_nobody_takes_the_place_of_a_site_that_is_here(self, fake_grid, introduction, clock, caplog):
        grid = fake_grid(
            [1, 2], lambda message: introduction(message, f"site-{message.metadata.dst_node_id % 10}")
        )
        known = members(grid)
        known.gather()
        grid.nodes.append(12)
        for _ in range(2):
            assert known.online()["site-2"].node == 2
        assert caplog.text.count("left out site-2 (identity): its name is that of node 2") == 1
        grid.nodes.remove(2)
        assert known.online()["site-2"].node == 12


def test_the_same_code_is_sound():
    check_code(code_digest())
    with pytest.raises(RefusedError, match=r"^it runs other code \(digest abc\) than the server"):
        check_code("abc")


@pytest.mark.parametrize(
    ("gpu", "devices", "warned"),
    [
        (True, ["cpu", "cpu"], True),
        (True, ["cpu", "cuda:0 Imaginary"], False),
        (False, ["cpu", "cpu"], False),
    ],
)
def test_a_hidden_gpu(monkeypatch, caplog, gpu, devices, warned):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    caplog.set_level(logging.WARNING)
    warn_of_hidden_gpu(
        [Member(str(number), number, device, "", None) for number, device in enumerate(devices)]
    )
    assert [bool(re.search("has a GPU, but .*init-args-num-gpus=2", text)) for text in caplog.messages] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Traceback\n  File ...\nDataError: no videos\n", "DataError: no videos"),
        (r"Traceback\n  File ...\nDataError: no videos\n", "DataError: no videos"),
        ("one line", "one line"),
        ("x" * 400, "x" * 300),
        ("", "no reason given"),
        (" \n ", "no reason given"),
        (None, "no reason given"),
    ],
)
def test_an_error_in_one_line(reason, said):
    assert last_line(reason) == said
