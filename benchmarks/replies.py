"""The server's time for a round's replies: read, judged, combined and taken over by the model.

    python benchmarks/replies.py            # JSON to stdout; a minute

The replies of 8 clients with 6 M parameters each, as they come from our ClientApp, are made when they are
asked for, which isn't timed. `seconds` are for one reply, of several rounds; where other processes run,
`cpu-seconds` tell more.
"""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from torch import nn

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_record
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport
from server_app.asking import Asking
from server_app.config import compose
from server_app.round_log import RoundLog
from server_app.screening import Screen
from server_app.spool import Spool
from server_app.state import RunState
from server_app.strategies.fedvsr import FedVSR
from server_app.updates import UpdateReader, floating

CLIENTS, LAYERS, WIDTH, ROUNDS = 8, 160, 64 * 64 * 9, 6


class Model(nn.Module):
    """Equal convolutions, as far as the server can see."""

    def __init__(self) -> None:
        super().__init__()
        for layer in range(LAYERS):
            self.register_parameter(f"weight{layer}", nn.Parameter(torch.randn(WIDTH) * 0.05))
            self.register_parameter(f"bias{layer}", nn.Parameter(torch.zeros(64)))


class Replies:
    """A grid whose nodes have all trained; knows how long their replies took to make."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays, self.sent = arrays, dict[str, Message]()
        self.seconds = self.cpu_seconds = 0.0

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Take them all."""
        ids = []
        for message in messages:
            ids.append(str(message.metadata.dst_node_id))
            message.metadata.__dict__["_message_id"] = ids[-1]
            self.sent[ids[-1]] = message
        return ids

    def pull_messages(self, ids: Iterable[str]) -> list[Message]:
        """One reply for each."""
        began, cpu_began = time.perf_counter(), time.process_time()
        replies = [reply(self.sent.pop(number), self.arrays) for number in ids]
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu_began
        return replies


def reply(message: Message, arrays: dict[str, np.ndarray]) -> Message:
    """What a client returns."""
    node = message.metadata.dst_node_id
    report = TrainingReport(
        client=f"partition-{node}", examples=100 + node, steps=10, loss=0.02 + 0.001 * node,
        parts={"charbonnier": 0.01}, seconds=1.0, peak_memory_mb=100.0, device="cpu", code=code_digest(),
        batches="b",
    )  # fmt: skip
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return Message(RecordDict({keys.ARRAYS: record, **report.pack()}), reply_to=message)


def measure() -> dict[str, list[float]]:
    """Time several rounds."""
    for name in ("task_id", "run_id", "node_id"):
        setattr(TaskIdentity, name, 1)
    folder = Path(mkdtemp())
    settings = compose({"data": "synthetic", "overrides": f"run.root={folder}"})
    state = RunState(settings, Model(), FedVSR(num_rounds=100))  # type: ignore[arg-type]
    seconds, cpu_seconds = [], []
    for server_round in range(1, ROUNDS + 1):
        start = to_record(state.model.state_dict())
        trained = {name: array.numpy() + np.float32(1e-3) for name, array in start.items()}
        grid = Replies(trained)
        began, cpu_began = time.perf_counter(), time.process_time()
        sent = state.strategy.outgoing(server_round, start, CLIENTS)
        arrays = floating(sent[keys.ARRAYS])
        reader = UpdateReader(arrays, limits=settings.screening)
        asking = Asking(
            grid,  # type: ignore[arg-type]
            {node: RecordDict(dict(sent)) for node in range(1, CLIENTS + 1)},
            MessageType.TRAIN,
            read=reader.read,
            clients={node: f"partition-{node}" for node in range(1, CLIENTS + 1)},
            lifetime_s=60,
        )
        log = RoundLog("round", of=CLIENTS)
        with Spool(folder / "updates") as spool:
            updates = [spool.keep(update) for update in log.updates(asking.answers(60))]
            screened = Screen(settings.screening, arrays, norms=state.norms).judge(updates)
            combined = state.strategy.combine(server_round, screened.updates)
            assert combined is not None, log.refused
            state.accept(server_round, combined.arrays, [update.client for update in screened.updates])
        seconds.append((time.perf_counter() - began - grid.seconds) / CLIENTS)
        cpu_seconds.append((time.process_time() - cpu_began - grid.cpu_seconds) / CLIENTS)
    return {"seconds": seconds, "cpu-seconds": cpu_seconds}


if __name__ == "__main__":
    measured = {"folder": Path(__file__).parents[1].name, "clients": CLIENTS, **measure()}
    json.dump(measured, sys.stdout)
    print()
