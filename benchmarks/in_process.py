"""A federation in this process, for benchmarks: the real round loop and clients, without Flower's engine."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from flwr.app import Context, Message, MessageType, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from client_app.app import app
from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from fedvsr_core.evaluation.held_out import build_held_out
from fedvsr_core.flower import keys
from fedvsr_core.settings import Settings
from server_app.records.journal import Journal, read_journal
from server_app.records.run_dir import RunDir
from server_app.rounds import Rounds
from server_app.state import RunState
from server_app.strategies.stock import adapted

Spoil = Callable[[Message, Message], None]
Mislead = Callable[[Message], None]
FRAMES = 8
"""Frames of each held-out clip that are scored."""


@dataclass
class Trained:
    """What came of a run.

    Attributes:
        bicubic: PSNR-Y of bicubic interpolation on the held-out clips, in dB.
        psnr_y: That of the model, untrained and after each round.
        rounds: The journal's line of training of each round.
        state: The weights at the end.
    """

    bicubic: float
    psnr_y: list[float]
    rounds: list[dict[str, Any]]
    state: dict[str, torch.Tensor]

    def weights(self, client: str) -> list[float]:
        """What one client's update counted, by round; 0 where it was left out."""
        return [
            next((row["weight"] or 0.0 for row in line["clients"] if row["client"] == client), 0.0)
            for line in self.rounds
        ]


class _Clients:
    """A grid whose nodes 1, 2, ... are clients of a simulation in this process."""

    def __init__(self, count: int, mislead: Mislead, spoil: Spoil, device: str, folder: str) -> None:
        self._count, self._device, self._folder = count, device, folder
        self._mislead, self._spoil = mislead, spoil
        self._messages: list[Message] = []
        self._states = [RecordDict() for _ in range(count)]

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=number) for number in range(1, self._count + 1)]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        pushed = list(messages)
        for message in pushed:
            message.metadata.__dict__["_message_id"] = str(len(self._messages))
            self._messages.append(message)
        return [message.metadata.message_id for message in pushed]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [self._reply(self._messages[int(message_id)]) for message_id in message_ids]

    def _reply(self, message: Message) -> Message:
        index = message.metadata.dst_node_id - 1
        config = {
            keys.PARTITION_ID: index,
            keys.NUM_PARTITIONS: self._count,
            keys.DEVICE: self._device,
            keys.MEMORY_DIR: self._folder,
        }
        trains = message.metadata.message_type == MessageType.TRAIN
        if trains:
            self._mislead(message)
        reply = app(message, Context(1, index, config, self._states[index], {}))
        if trains:
            self._spoil(message, reply)
        return reply


class _EnoughError(Exception):
    """The score so far is all that was asked for."""


class _WatchedJournal(Journal):
    def __init__(self, path: Path, scored: Callable[[float], bool]) -> None:
        super().__init__(path)
        self._scored = scored

    def append(self, line: Mapping[str, Any]) -> None:
        super().append(line)
        if line["phase"] == "evaluate" and line["round"] and not self._scored(line["psnr-y"]):
            raise _EnoughError


def federate(
    settings: Settings,
    *,
    clients: int,
    mislead: Mislead = lambda message: None,
    spoil: Spoil = lambda message, reply: None,
    device: str = "cpu",
    scored: Callable[[float], bool] = lambda score: True,
) -> Trained:
    """Train, and score after each round.

    Args:
        settings: Which model, strategy, data and so on.
        clients: How many; they are partition-0, partition-1, ..., on the nodes 1, 2, ...
        mislead: Called with each message of training, which it may change before a client has it.
        spoil: Called with each message of training and its reply, which it may change.
        device: Where clients train and held-out clips are scored.
        scored: Called with the score after each round; says whether to go on.
    """
    for name in ("task_id", "run_id", "node_id"):
        setattr(TaskIdentity, name, 1)
    model = initial_model(settings)
    state = RunState(settings, model, adapted(build(settings.strategy.server, num_rounds=settings.rounds)))
    shots = [shot.between(0, FRAMES) for shot in build(settings.data).held_out()]
    held_out = build_held_out(settings, shots, torch.device(device))
    with TemporaryDirectory() as folder, _quiet():
        run_dir = RunDir.create(folder, ["benchmark"])
        with suppress(_EnoughError), _WatchedJournal(run_dir.journal, scored) as journal:
            rounds = Rounds(
                settings,
                grid=cast(Grid, _Clients(clients, mislead, spoil, device, folder)),
                state=state,
                held_out=held_out,
                run_dir=run_dir,
                journal=journal,
            )
            rounds.gather()
            rounds.run(None)
        lines = read_journal(Path(run_dir.journal))
    evaluated = [line for line in lines if line["phase"] == "evaluate"]
    return Trained(
        bicubic=held_out.bicubic["psnr-y"],
        psnr_y=[line["psnr-y"] for line in evaluated],
        rounds=[line for line in lines if line["phase"] == "train"],
        state={name: tensor.clone() for name, tensor in model.state_dict().items()},
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log of the rounds."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
