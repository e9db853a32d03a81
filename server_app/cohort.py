"""Which node serves which client, and which clients take part in a round."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.errors import FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.code import code_digest
from fedvsr_core.seeds import derive
from fedvsr_core.settings import Cohort
from server_app.exchange import Exchange

_log = logging.getLogger(__name__)

LEAST_NODES = 2
"""Nodes to wait for where neither the configuration nor the simulation says how many there are."""


@dataclass(frozen=True)
class Member:
    """A node that has introduced itself.

    Attributes:
        client: Its name, the same in every run.
        node: Its id, which is new in every run.
        device: Where it trains.
        of: Number of clients of the simulation it belongs to, or None.
    """

    client: str
    node: int
    device: str
    of: int | None


class Members:
    """The nodes of the federation, by the names of their clients.

    Nodes are asked who they are, once: a simulation gives them new ids in every run, and what depends on a seed must
    depend on names.

    Args:
        grid: The federation.
        settings: How many to wait for, and how long.
    """

    def __init__(self, grid: Grid, settings: Cohort) -> None:
        self._grid = grid
        self._settings = settings
        self._known: dict[int, Member] = {}
        self._silent: dict[int, str] = {}

    def gather(self) -> dict[str, Member]:
        """Wait for the federation to be complete, before the first round.

        Returns:
            Its clients, in the order of their names.

        Raises:
            FederationError: If there aren't enough nodes in time, two nodes have one name, or a node runs other code.
        """
        return self._wait(self._complete)

    def online(self) -> dict[str, Member]:
        """The clients that can take part in a round; waits only while they are too few for one.

        Raises:
            FederationError: As `gather`.
        """
        return self._wait(lambda here: self._settings.min_replies)

    def _wait(self, enough: Callable[[Sequence[Member]], int]) -> dict[str, Member]:
        end, told = time.monotonic() + self._settings.wait_s, -1
        while True:
            nodes = set(self._grid.get_node_ids())
            self._ask(nodes - self._known.keys(), end - time.monotonic())
            here = [self._known[node] for node in nodes & self._known.keys()]
            if len(here) >= enough(here):
                return _by_name(here)
            if time.monotonic() > end:
                silent = "".join(f"; node {node} says: {why}" for node, why in self._silent.items())
                raise FederationError(
                    f"{enough(here)} nodes must take part, {len(here)} do after {self._settings.wait_s:.0f} s{silent};"
                    " start the missing SuperNodes, or lower cohort.nodes, and resume this run"
                )
            if len(here) != told:
                told = len(here)
                _log.info("waiting for nodes: %d of %d are here", told, enough(here))
            time.sleep(1)

    def _complete(self, here: Sequence[Member]) -> int:
        if self._settings.nodes is not None:
            return self._settings.nodes
        return max((member.of for member in here if member.of), default=LEAST_NODES)

    def _ask(self, nodes: Iterable[int], timeout_s: float) -> None:
        messages = [Message(RecordDict(), dst_node_id=node, message_type=MessageType.QUERY) for node in sorted(nodes)]
        exchange = Exchange(self._grid, messages)
        for reply in exchange.replies(timeout_s):
            node = exchange.sent[reply.metadata.reply_to_message_id]
            if not reply.has_error():
                self._known[node] = _introduction(reply, node)
            elif self._silent.get(node) != (why := last_line(reply.error.reason)):
                self._silent[node] = why
                _log.warning("node %d can't introduce itself: %s", node, why)


def draw(clients: Iterable[str], count: int | None, *, seed: int, server_round: int) -> list[str]:
    """The clients that take part in a round, a function of the seed, the round and the names alone.

    Args:
        clients: Names of all clients.
        count: How many take part; None, or more than there are: all.
        seed: The run's seed.
        server_round: The round, from 1.
    """
    names = sorted(clients)
    if count is None or count >= len(names):
        return names
    return sorted(random.Random(derive(seed, "cohort", server_round)).sample(names, count))


class CohortGrid(Grid):
    """A federation that shows only the nodes of one round's cohort, so that every strategy samples just these."""

    def __init__(self, grid: Grid, nodes: Sequence[int]) -> None:
        self._grid = grid
        self._nodes = list(nodes)

    def get_node_ids(self) -> list[int]:
        """The cohort's nodes, in the order given."""
        return list(self._nodes)

    def set_run(self, run: Any) -> None:  # noqa: ANN401 (Flower's internal Run)
        """As the whole federation does."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:  # noqa: ANN401
        """As the whole federation says."""
        return self._grid.run

    def create_message(self, *args: Any, **kwargs: Any) -> Message:  # noqa: ANN401
        """As the whole federation does."""
        return self._grid.create_message(*args, **kwargs)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """As the whole federation does."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """As the whole federation does."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """As the whole federation does."""
        return self._grid.send_and_receive(messages, timeout=timeout)


def check_code(code: str, client: str) -> None:
    """Stop if a client runs other code than the server.

    Raises:
        FederationError: If the digests differ.
    """
    if code != code_digest():
        raise FederationError(
            f"client '{client}' runs other code (digest {code}) than the server ({code_digest()}): its engine was started"
            " from another checkout; stop the local SuperLink with 'fedvsr stop', or restart the SuperNode, and run again"
        )


def warn_of_hidden_gpu(members: Iterable[Member]) -> None:
    """Say so if the server has a GPU and no client uses one: Flower's simulation hides GPUs unless it is asked not to."""
    if torch.cuda.is_available() and all(member.device == "cpu" for member in members):
        _log.warning(
            "this machine has a GPU, but all clients train on the CPU; give them a share of it with"
            " --federation-config 'client-resources-num-gpus=0.5 init-args-num-gpus=%d'",
            torch.cuda.device_count(),
        )


def last_line(reason: str | None) -> str:
    """What an error says, without its traceback."""
    lines = (reason or "no reason given").replace("\\n", "\n").strip().splitlines()
    return lines[-1].strip()[:300]


def _introduction(reply: Message, node: int) -> Member:
    try:
        words, numbers = reply.content.config_records[keys.ABOUT], reply.content.metric_records[keys.METRICS]
        code, of = str(words[keys.CODE]), int(float(numbers[keys.NUM_CLIENTS]))  # type: ignore[arg-type]
        member = Member(str(words[keys.CLIENT]), node, str(words[keys.DEVICE]), of or None)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FederationError(
            f"node {node} doesn't introduce itself as a FedVSR client ({error!r}); it runs another app"
        ) from error
    check_code(code, member.client)
    return member


def _by_name(members: Iterable[Member]) -> dict[str, Member]:
    ordered = sorted(members, key=lambda member: member.client)
    for one, next_one in zip(ordered, ordered[1:], strict=False):
        if one.client == next_one.client:
            raise FederationError(
                f"two nodes ({one.node}, {next_one.node}) are called '{one.client}'; give each SuperNode its own"
                f" '{keys.SITE}' or '{keys.PARTITION_ID}' in --node-config"
            )
    return {member.client: member for member in ordered}
