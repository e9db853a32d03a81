"""Clients of secure rounds, in this process: the real ClientApp with training that takes no time."""

from copy import deepcopy

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict

from client_app.app import app as client_app
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.secure.session import needed
from server_app.deadline import Deadline
from server_app.secure_check import mean_of_shares
from server_app.secure_round import Sent, train_securely
from server_app.strategies.uniform import Uniform
from tests.unit.server_app.conftest import FakeGrid

STAGES = ("keys", "shares", "train", "scalars", "vector", "unmask")


class SecureSites(FakeGrid):
    """Nodes 100, 101, ... of the clients c0, c1, ...

    Attributes:
        model: What is sent; arrays by name.
        updates: What each client learns, by its name: one flat vector.
        losses: By name.
        examples: By name.
        gone: Clients that don't answer, by stage.
        tampered: Called with each message before its client gets it.
        replies: All of them, with their stage and client.
    """

    def __init__(self, clients, settings, *, size=40, seed=0):
        super().__init__(range(100, 100 + clients), self._run_client)
        generator = np.random.default_rng(seed)
        self.settings = settings
        self.names = {100 + k: f"c{k}" for k in range(clients)}
        self.model = {
            "conv.weight": generator.standard_normal((size // 4, 2, 2)).astype(np.float32),
            "scale": np.asarray(np.float32(0.5)),
        }
        self.updates = {
            name: generator.normal(0, 0.01, size // 4 * 4 + 1).astype(np.float32)
            for name in self.names.values()
        }
        self.losses = {name: float(generator.uniform(0.02, 0.08)) for name in self.names.values()}
        self.examples = {name: int(generator.integers(10, 90)) for name in self.names.values()}
        self.node_config = {node: {"site": name, "device": "cpu"} for node, name in self.names.items()}
        self.states = {node: RecordDict() for node in self.nodes}
        self.gone = {}
        self.tampered = lambda message: None
        self.asked, self.replies = [], []

    def train(self, content, node_config, state, device):
        """In the place of training: add the update that is known."""
        name, at, trained = node_config["site"], 0, {}
        for array, before in to_arrays(content[keys.ARRAYS]).items():
            step = self.updates[name][at : at + before.size].reshape(before.shape)
            trained[array] = np.asarray(before + step, before.dtype)
            at += before.size
        report = TrainingReport(
            client=name,
            examples=self.examples[name],
            steps=5,
            loss=self.losses[name],
            parts={"charbonnier": self.losses[name]},
            seconds=1.0,
            peak_memory_mb=100.0,
            device="cpu",
            code=code_digest(),
            batches=f"{self.examples[name]:x}",
        )
        return RecordDict({keys.ARRAYS: record_from_arrays(trained), **report.pack()})

    def round(self, strategy=None, server_round=1, lost=()):
        """One secure round; returns its outcome."""
        strategy, share = mean_of_shares(strategy or Uniform(), server_round)
        arrays = strategy.outgoing(server_round, record_from_arrays(self.model), len(self.nodes))[keys.ARRAYS]
        config = {
            keys.SERVER_ROUND: server_round,
            keys.SETTINGS: self.settings.for_clients().model_dump_json(),
            keys.RUN: "run-1",
        }
        contents = {
            node: RecordDict({keys.ARRAYS: arrays, keys.CONFIG: ConfigRecord(dict(config))})
            for node in self.nodes
        }
        return train_securely(
            self.settings,
            self,
            strategy,
            Sent(server_round, share, arrays, contents, dict(self.names)),
            deadline=Deadline(self.settings),
            lost=lost,
        )

    @property
    def least(self):
        return needed(len(self.nodes), self.settings.secure.threshold)

    def ask(self, message, state=None):
        """What a client answers to a message; its state is that of its node unless another one is given."""
        node = message.metadata.dst_node_id
        state = self.states[node] if state is None else state
        return client_app(message, Context(1, node, self.node_config[node], state, {}))

    def _run_client(self, message):
        node = message.metadata.dst_node_id
        stage = message.metadata.message_type.rpartition("secure_")[2]
        self.asked.append((stage, self.names[node], deepcopy(self.states[node]), message))
        if self.names[node] in self.gone.get(stage, ()):
            return Message(Error(0, "it has gone"), reply_to=message)
        self.tampered(message)
        reply = self.ask(message)
        self.replies.append((stage, self.names[node], reply))
        return reply


def mean_of(sites, weights):
    """The model plus the mean of some updates, in float64; by name of the array."""
    total = sum(weights.values())
    update = sum(weight / total * sites.updates[name].astype(np.float64) for name, weight in weights.items())
    at, new = 0, {}
    for name, before in sites.model.items():
        new[name] = before + update[at : at + before.size].reshape(before.shape)
        at += before.size
    return new
