"""Replies as clients send them, without a federation, and what the server makes of them."""

from types import SimpleNamespace

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.app.metadata import Metadata

from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport
from server_app.asking import Asking, Refusal
from server_app.updates import UpdateReader, floating

LIMITS = SimpleNamespace(max_examples=10_000_000, max_loss=1e6)


class Sites:
    """Nodes 100, 101, ... of the clients c0, c1, ..., asked by the messages m0, m1, ..."""

    def __init__(self, clients, seed=0):
        generator = np.random.default_rng(seed)
        self.model = {
            "conv.weight": generator.standard_normal((4, 3, 3, 3)).astype(np.float32),
            "conv.bias": np.zeros(4, np.float32),
            "scale": np.asarray(np.float32(0.5)),
        }
        self.clients = {100 + k: f"c{k}" for k in range(clients)}
        self.sent = {f"m{k}": 100 + k for k in range(clients)}

    @property
    def reference(self):
        return record_from_arrays(self.model)

    def get_node_ids(self):
        return list(reversed(self.clients))

    def arrays(self, k, size=1e-2):
        """What client k would return: the model and a step."""
        generator = np.random.default_rng(k)
        return {
            name: np.asarray(array + size * generator.standard_normal(array.shape), array.dtype)
            for name, array in self.model.items()
        }

    def report(self, k, **changes):
        facts = {
            "client": f"c{k}",
            "examples": 10 * (k + 1),
            "steps": 5,
            "loss": 0.02 * (k + 1),
            "parts": {"charbonnier": 0.01},
            "seconds": 1.0,
            "peak_memory_mb": 100.0,
            "device": "cpu",
            "code": code_digest(),
            "batches": "cd",
        }
        return TrainingReport(**(facts | changes))

    def reply(self, k, content=None, *, arrays=None, to=None, **changes):
        """The reply of client k; ``changes`` are of its report."""
        if content is None:
            record = (
                arrays if isinstance(arrays, ArrayRecord) else record_from_arrays(arrays or self.arrays(k))
            )
            content = RecordDict({"arrays": record, **self.report(k, **changes).pack()})
        return Message(content=content, metadata=self.metadata(k, to))

    def failure(self, k, reason="it broke", code=2, to=None):
        metadata = self.metadata(k, to)
        metadata.__dict__["_src_node_id"] = 1  # the SuperLink speaks for a node that is gone
        return Message(error=Error(code, reason), metadata=metadata)

    def foreign_reply(self, k, arrays=None, **numbers):
        """What a client of someone else's app sends: one ArrayRecord, one MetricRecord, under any name."""
        content = RecordDict(
            {"weights": record_from_arrays(arrays or self.arrays(k)), "numbers": MetricRecord(numbers)}
        )
        return Message(content=content, metadata=self.metadata(k))

    def metadata(self, k, to=None):
        return Metadata(
            run_id=1,
            message_id=f"r{k}",
            src_node_id=100 + k,
            dst_node_id=1,
            reply_to_message_id=f"m{k}" if to is None else to,
            group_id="",
            created_at=0.0,
            ttl=1.0,
            message_type="train",
        )

    def configure(self, strategy, server_round=1, arrays=None, **config):
        return list(
            strategy.configure_train(server_round, arrays or self.reference, ConfigRecord(config), self)
        )


class _Canned:
    """A grid that has certain replies, whatever was asked; hands them out one by one.

    Attributes:
        pulled: How many were handed out.
    """

    def __init__(self, sent, replies):
        self._ids = {node: message_id for message_id, node in sent.items()}
        self._replies = iter(replies)
        self.pulled = 0

    def push_messages(self, messages):
        return [self._ids[message.metadata.dst_node_id] for message in messages]

    def pull_messages(self, message_ids):
        for reply in self._replies:
            self.pulled += 1
            return [reply]
        return []


class Received:
    """What comes of replies, read as the round loop does.

    Attributes:
        updates: The sound ones.
        refused: The others, in the order of their arrival.
        reader: What has read them.
    """

    def __init__(self, sites, replies, **options):
        self.reader = UpdateReader(floating(sites.reference), limits=LIMITS, **options)
        self.grid = _Canned(sites.sent, replies)
        self.asking = Asking(
            self.grid,
            {node: RecordDict() for node in sites.clients},
            "train",
            read=self.reader.read,
            clients=sites.clients,
            lifetime_s=1,
        )

    def __iter__(self):
        before = -1
        while before < self.grid.pulled:
            before = self.grid.pulled
            yield from self.asking.answers(0)

    def all(self):
        answers = list(self)
        self.refused = [answer for answer in answers if isinstance(answer, Refusal)]
        self.updates = [answer for answer in answers if not isinstance(answer, Refusal)]
        return self

    def close(self):
        self.refused += self.asking.missing()
        return self
