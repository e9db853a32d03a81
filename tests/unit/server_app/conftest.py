"""Federations in this process: a grid of functions, and one whose nodes run the real ClientApp."""

from collections import Counter

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.superlink.grid import InMemoryGrid

from client_app.app import app as client_app
from fedvsr_core.errors import FedVSRError
from fedvsr_core.flower import keys
from fedvsr_core.flower.code import code_digest
from server_app import asking, cohort
from server_app.config import compose
from tests.unit.server_app.sites import Sites


class FakeGrid(Grid):
    """A grid in this process.

    Attributes:
        nodes: Ids of the nodes, in the order in which the grid names them.
        answer: Called with a message, when its reply is asked for; returns the reply, or None for "not yet".
        refuses: Nodes whose messages aren't taken.
        names: Under which the keys of nodes are registered.
        pushed: All messages so far.
        pulls: How often each message's reply was asked for.
    """

    def __init__(self, nodes=(), answer=lambda message: None):
        self.nodes = list(nodes)
        self.answer = answer
        self.refuses = set()
        self.names = {}
        self.refused_id = None  # what the grid returns for those: nothing, or this
        self.pushed = []
        self.pulls = Counter()
        self._waiting = {}

    def get_node_ids(self):
        return list(self.nodes)

    def get_nodes(self):
        return [NodeInfo(node_id=node, name=self.names.get(node, "")) for node in self.nodes]

    def push_messages(self, messages):
        ids = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node in self.refuses:
                ids += [] if self.refused_id is None else [self.refused_id]
                continue
            ids.append(f"message-{len(self.pushed)}")
            message.metadata.__dict__["_message_id"] = ids[-1]
            self.pushed.append(message)
            self._waiting[ids[-1]] = message
        return ids

    def pull_messages(self, message_ids):
        replies = []
        for message_id in message_ids:
            self.pulls[message_id] += 1
            assert message_id in self._waiting, f"'{message_id}' was never sent, or has been answered"
            reply = self.answer(self._waiting[message_id])
            if reply is not None:
                del self._waiting[message_id]
                replies.append(reply)
        return replies

    def send_and_receive(self, messages, *, timeout=None):
        return self.pull_messages(self.push_messages(messages))

    def set_run(self, run):
        self._run = run

    @property
    def run(self):
        return self._run

    def create_message(self, *args, **kwargs):
        return Message(*args, **kwargs)


class SimulationGrid(FakeGrid, InMemoryGrid):
    """A grid of Flower's simulation engine."""


class ClientGrid(SimulationGrid):
    """A grid of a simulation whose nodes run the real ClientApp on their partitions of a simulated dataset.

    Attributes:
        spoil: By partition, what is done to a reply to a training message; it returns the reply, or None.
    """

    def __init__(self, clients, *, first_node=100):
        super().__init__(range(first_node, first_node + clients), self._run_client)
        self._config = {
            node: {"partition-id": index, "num-partitions": clients, "device": "cpu"}
            for index, node in enumerate(self.nodes)
        }
        self.spoil = {}
        self.states = {node: RecordDict() for node in self.nodes}  # the nodes', as long as the engine runs

    def _run_client(self, message):
        node = message.metadata.dst_node_id
        config = self._config[node]
        try:
            reply = client_app(message, Context(1, node, config, self.states[node], {}))
        except FedVSRError as error:
            reply = Message(Error(0, str(error)), reply_to=message)
        spoil = self.spoil.get(config.get("partition-id"))
        if spoil is not None and message.metadata.message_type == MessageType.TRAIN:
            return spoil(reply)
        return reply


@pytest.fixture(autouse=True)
def flower_home(tmp_path, monkeypatch):
    """Clients keep what outlives a run in this test's folder."""
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flower-home"))


@pytest.fixture
def fake_grid():
    """Makes a `FakeGrid`."""
    return FakeGrid


@pytest.fixture
def simulation_grid():
    """Makes a `SimulationGrid`."""
    return SimulationGrid


@pytest.fixture
def client_grid():
    """Makes a `ClientGrid`."""
    return ClientGrid


@pytest.fixture
def introduction():
    """Makes the answer of a node that is asked who it is."""

    def introduce(message, client=None, of=0, code=None):
        node = message.metadata.dst_node_id
        words = {keys.CLIENT: client or f"site-{node}", keys.DEVICE: "cpu", keys.CODE: code or code_digest()}
        content = {keys.ABOUT: ConfigRecord(words), keys.METRICS: MetricRecord({keys.NUM_CLIENTS: of})}
        return Message(RecordDict(content), reply_to=message)

    return introduce


@pytest.fixture
def sites():
    """Four `Sites`."""
    return Sites(4)


@pytest.fixture
def make_sites():
    """Makes `Sites`."""
    return Sites


class Clock:
    """A clock that moves when someone sleeps.

    Attributes:
        now: Seconds.
        events: What happens when its time comes, by time.
    """

    def __init__(self):
        self.now = 0.0
        self.events = {}

    def monotonic(self):
        return self.now

    def time(self):
        return 1_800_000_000 + self.now

    def sleep(self, seconds):
        self.now += seconds
        for due in [due for due in self.events if due <= self.now]:
            self.events.pop(due)()


@pytest.fixture
def clock(monkeypatch):
    """The time of the modules that wait."""
    clock = Clock()
    monkeypatch.setattr(asking, "time", clock)
    monkeypatch.setattr(cohort, "time", clock)
    return clock


TINY = (
    "model.width=4 model.blocks=1 data.clips=2 data.held_out_clips=1 data.frames=6 data.height=8 data.width=8"
    " partition.min_frames=2 partition.min_size=16 training.steps=1 training.batch=1 training.window=2"
    " training.patch=4 optimiser.lr=0.01 cohort.wait_s=5 evaluation.every=1"
    " screening.clip=null screening.opposed=null"  # a step on one window tells little of the others
)


@pytest.fixture
def tiny():
    """Composes settings of a run of two rounds that takes moments."""

    def composed(overrides="", strategy="fedvsr"):
        run_config = {"data": "synthetic", "strategy": strategy, "overrides": f"{TINY} rounds=2 {overrides}"}
        return compose(run_config)

    return composed
