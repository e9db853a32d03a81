"""Which node serves which client, and which clients take part in a round."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from flwr.app import ConfigRecord, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.superlink.grid import InMemoryGrid

from fedvsr_core.errors import FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from fedvsr_core.seeds import derive
from fedvsr_core.settings import Cohort
from server_app.asking import Answer, Asking, Refusal, RefusedError, check_code

_log = logging.getLogger(__name__)

LONGEST_DEVICE = 200
"""Characters of what a client says of its device."""

LEAST_NODES = 2
"""Nodes to wait for where neither the configuration nor the simulation says how many there are."""

POLL_S = 1.0
REPEAT_S = 30.0
"""How often it is said again who is waited for."""

QUERY_S = 120.0
"""A query that has no answer by then is asked again; each time it gets twice as long, for busy machines."""

_OWN_NAME = f"give each SuperNode its own '{keys.SITE}' or '{keys.PARTITION_ID}' in --node-config"


@dataclass(frozen=True)
class Member:
    """A node that has introduced itself.

    Attributes:
        client: Its name, the same in every run.
        node: Its id, which is new in every run.
        device: Where it trains.
        code: Digest of the code it runs.
        of: Number of clients of the simulation it belongs to; None outside of Flower's simulation engine.
    """

    client: str
    node: int
    device: str
    code: str
    of: int | None


@dataclass(frozen=True)
class _Query:
    """A query under way; it is asked again at ``end``."""

    asking: Asking[Member]
    lifetime_s: float
    end: float


class Members:
    """The nodes of the federation, by the names of their clients.

    Nodes are asked who they are, until they have said so: a simulation gives them new ids in every run, and
    what depends on a seed must depend on names.

    Where the SuperLink knows nodes by their keys, the operator has registered each key under a name (``fedvsr
    deploy register``). Then a node is who its key says: one that gives itself another name stays out, and so
    does one whose key has none. What a node says of a simulation counts in Flower's simulation engine alone.

    Args:
        grid: The federation.
        settings: How many to wait for, and how long.
        earlier: Names of the clients that a run has had so far, if it is resumed; to say who is missing.
    """

    def __init__(self, grid: Grid, settings: Cohort, earlier: Iterable[str] = ()) -> None:
        self._grid = grid
        self._simulation = isinstance(grid, InMemoryGrid)
        self._keys_have_names = False
        self._settings = settings
        self._asked: dict[int, _Query] = {}
        self._known: dict[int, Member] = {}
        self._outdated: dict[int, Refusal] = {}  # simulated, with other code
        self._failing: dict[int, Refusal] = {}
        self._noted: set[Refusal] = set()
        self._names = set(earlier)

    def gather(self) -> dict[str, Member]:
        """Wait for the federation to be complete, before the first round.

        Sites that run other code, or take another's name, stay out as in `online`.

        Returns:
            Its clients, in the order of their names.

        Raises:
            FederationError: If there aren't enough nodes in time, or in a simulation two nodes keep one name
                or one runs other code.
        """
        return self._wait(self._complete, strict=True)

    def online(self) -> dict[str, Member]:
        """The clients that can take part in a round; waits only while they are too few for one.

        A newcomer that runs other code stays out. Of two nodes with one name the one that had it first counts
        while it is online: nobody takes a site's place. A site that was restarted with its key is the same
        node; without one it has to wait until its old node is seen to be gone.

        Raises:
            FederationError: If there aren't enough nodes in time.
        """
        return self._wait(lambda here: self._settings.min_replies, strict=False)

    def _wait(self, enough: Callable[[Sequence[Member]], int], *, strict: bool) -> dict[str, Member]:
        end, told, again = time.monotonic() + self._settings.wait_s, -1, 0.0
        while True:
            registered = {node.node_id: node.name for node in self._grid.get_nodes()}
            nodes = set(registered)
            self._asked = {node: query for node, query in self._asked.items() if node in nodes}
            for node in sorted(nodes - self._known.keys()):
                self._ask(node)
            simulated = strict and all(self._simulated(node) for node in nodes)
            outdated = [refusal for node, refusal in self._outdated.items() if node in nodes]
            if simulated and outdated:  # no other node is any better
                raise FederationError(
                    f"client '{outdated[0].client}': {outdated[0].reason}; its engine was started from"
                    " another checkout: stop the local SuperLink with 'fedvsr stop', and run again"
                )
            all_here = self._themselves(registered)
            clash = _clash(all_here) if simulated else ""
            by_name = self._by_name(all_here)
            here, names = list(by_name.values()), by_name.keys()
            self._names |= names
            missing = f"; missing: {', '.join(gone)}" if (gone := sorted(self._names - names)) else ""
            if len(here) >= enough(here) and not clash:
                return by_name
            if time.monotonic() > end and clash:
                raise FederationError(clash)
            if time.monotonic() > end:
                failing = "".join(f"; node {node} says: {no.reason}" for node, no in self._failing.items())
                raise FederationError(
                    f"{enough(here)} nodes must take part, {len(here)} do after"
                    f" {self._settings.wait_s:.0f} s{missing}{failing}; start the missing SuperNodes, or"
                    " lower cohort.nodes and cohort.min_replies, and resume this run"
                )
            if len(here) != told or time.monotonic() > again:
                told, again = len(here), time.monotonic() + REPEAT_S
                failing = "".join(f"; node {node} says: {no.reason}" for node, no in self._failing.items())
                _log.info("waiting for nodes: %d of %d are here%s%s", told, enough(here), missing, failing)
            time.sleep(POLL_S)

    def _themselves(self, registered: Mapping[int, str]) -> list[Member]:
        """The members that are online under the names of their keys, once a key was seen to have one."""
        self._keys_have_names |= any(registered.values())
        themselves, misnamed = [], []
        for node, member in self._known.items():
            name = registered.get(node)
            if name is None:
                continue
            if name == member.client or not self._keys_have_names:
                themselves.append(member)
                continue
            misnamed.append(node)
            says = f"it says that it is '{member.client}', but its key is registered "
            says += f"as '{name}'" if name else "under no name"
            reason = f"{says}; let its site.toml and 'fedvsr deploy register' give one name"
            self._note(Refusal(name or "unknown", node, "identity", reason))
        for node in misnamed:  # asked again: its site.toml may be mended
            del self._known[node]
        return themselves

    def _by_name(self, here: Iterable[Member]) -> dict[str, Member]:
        """The members by name, in its order; of those with one name the first that introduced itself."""
        members: dict[str, Member] = {}
        for member in here:
            first = members.setdefault(member.client, member)
            if first is not member:
                reason = f"its name is that of node {first.node}, which is online; {_OWN_NAME}"
                self._note(Refusal(member.client, member.node, "identity", reason))
        return dict(sorted(members.items()))

    def _complete(self, here: Sequence[Member]) -> int:
        if self._settings.nodes is not None:
            return self._settings.nodes
        sizes = {member.of for member in here}  # the nodes of a simulation agree
        return (sizes.pop() if len(sizes) == 1 else None) or LEAST_NODES

    def _simulated(self, node: int) -> bool:
        """Whether a node has answered, and belongs to a simulation by its own account."""
        return node in self._outdated or (node in self._known and self._known[node].of is not None)

    def _ask(self, node: int) -> None:
        """Ask a node who it is, unless a query is under way, and take its answer if it is here."""
        query = self._asked.get(node)
        if query is None or time.monotonic() >= query.end:
            lifetime_s = 2 * query.lifetime_s if query else QUERY_S
            asking = Asking(
                self._grid,
                {node: RecordDict()},
                MessageType.QUERY,
                read=_introduction,
                clients={},
                lifetime_s=lifetime_s,
                same_code=False,
            )
            query = self._asked[node] = _Query(asking, lifetime_s, time.monotonic() + lifetime_s)
        for answer in query.asking.answers(0):
            self._take(node, answer)
        if query.asking.is_over and node not in self._known:
            del self._asked[node]  # to be asked again

    def _take(self, node: int, answer: Member | Refusal) -> None:
        self._outdated.pop(node, None)
        if isinstance(answer, Refusal):
            self._note(answer)
            return
        if not self._simulation:
            answer = replace(answer, of=None)
        try:
            check_code(answer.code)
        except RefusedError as error:
            refusal = Refusal(answer.client, node, error.code, str(error))
            if answer.of:
                self._outdated[node] = refusal
            self._note(refusal)
        else:
            self._known[node] = answer
            self._failing.pop(node, None)

    def _note(self, refusal: Refusal) -> None:
        """Say once why a node can't take part."""
        self._failing[refusal.node] = refusal
        if refusal not in self._noted:
            self._noted.add(refusal)
            refusal.log("introductions")


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


def lost_uploads(clients: Iterable[str], rate: float, *, seed: int, server_round: int) -> set[str]:
    """The clients whose upload is lost in a round, a function of the seed, the round and the names alone.

    Args:
        clients: Names of those that take part.
        rate: Probability of a loss, in [0, 1]; whoever is lost at one rate is lost at every higher one.
        seed: The run's seed.
        server_round: The round, from 1.
    """
    return {
        client
        for client in clients
        if random.Random(derive(seed, "upload", server_round, client)).random() < rate
    }


def warn_of_hidden_gpu(members: Iterable[Member]) -> None:
    """Say so if the server has a GPU and no client uses it: the simulation hides GPUs unless asked not to."""
    if torch.cuda.is_available() and all(member.device == "cpu" for member in members):
        _log.warning(
            "this machine has a GPU, but all clients train on the CPU; give them a share of it with"
            " --federation-config 'client-resources-num-gpus=0.5 init-args-num-gpus=%d'",
            torch.cuda.device_count(),
        )


def _introduction(answer: Answer) -> Member:
    try:
        device = str(records_of(answer.content, ConfigRecord)[keys.ABOUT][keys.DEVICE])
        numbers = records_of(answer.content, MetricRecord)[keys.METRICS]
        of = int(float(numbers[keys.NUM_CLIENTS])) or None  # type: ignore[arg-type]
        if len(device) > LONGEST_DEVICE:
            raise ValueError(f"its device has a name of {len(device)} characters")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RefusedError(
            "report", f"it doesn't introduce itself as a FedVSR client ({error!r}); it runs another app"
        ) from error
    return Member(answer.client, answer.node, device, answer.code, of)


def _clash(members: Iterable[Member]) -> str:
    """What is wrong if two members have one name."""
    for first, second in pairwise(sorted(members, key=lambda member: member.client)):
        if first.client == second.client:
            return f"two nodes ({first.node}, {second.node}) are called '{first.client}'; {_OWN_NAME}"
    return ""
