"""A federation in this process, for benchmarks: the real clients and strategy, without Flower's engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client_app.app import app
from fedvsr_core.components import build
from fedvsr_core.evaluation.held_out import HeldOut, protocol_of
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import size_bytes, to_record, to_state
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.seeds import derive
from fedvsr_core.settings import Settings
from fedvsr_core.training.late_start import is_frozen, travelling
from server_app.exchange import restored
from server_app.strategies.base import RoundStrategy

Spoil = Callable[[Message, Message], None]
FRAMES = 8
"""Frames of each held-out clip that are scored."""


@dataclass
class Trained:
    """What came of a run.

    Attributes:
        bicubic: PSNR-Y of bicubic interpolation on the held-out clips, in dB.
        psnr_y: That of the model, untrained and after each round.
        diagnostics: The strategy's, of each round.
        bytes_up: What one client sent in the last round.
        state: The weights at the end.
    """

    bicubic: float
    psnr_y: list[float]
    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    bytes_up: int = 0
    state: dict[str, torch.Tensor] = field(default_factory=dict)


class _Grid:
    def __init__(self, clients: int) -> None:
        self.clients = clients

    def get_node_ids(self) -> list[int]:
        return list(range(self.clients))


def federate(
    settings: Settings,
    *,
    clients: int,
    spoil: Spoil = lambda message, reply: None,
    device: str = "cpu",
    scored: Callable[[float], bool] = lambda score: True,
) -> Trained:
    """Train, and score after each round.

    Args:
        settings: Which model, strategy, data and so on.
        clients: How many; their nodes are 0, 1, ...
        spoil: Called with each message and its reply, which it may change.
        device: Where clients train and held-out clips are scored.
        scored: Called with the score after each round; says whether to go on.
    """
    for name in ("task_id", "run_id", "node_id"):
        setattr(TaskIdentity, name, 1)
    torch.manual_seed(derive(settings.seed, "model"))
    model: VideoModel = build(settings.model)
    strategy: RoundStrategy = build(settings.strategy.server, num_rounds=settings.rounds)
    held_out = HeldOut(
        [shot.between(0, FRAMES) for shot in build(settings.data).held_out()],
        degradation=build(settings.degradation),
        chunk=FRAMES,
        device=torch.device(device),
        protocol=protocol_of(settings).on(settings.names["degradation"]),
    )
    client_settings = settings.for_clients().model_dump_json()
    trained = Trained(held_out.bicubic["psnr-y"], [held_out.score(model)["psnr-y"]])

    def replies(messages: list[Message]) -> Iterator[Message]:
        for message in messages:
            node = message.metadata.dst_node_id
            config = {keys.PARTITION_ID: node, keys.NUM_PARTITIONS: clients, keys.DEVICE: device}
            reply = app(message, Context(1, node, config, RecordDict(), {}))
            spoil(message, reply)
            trained.bytes_up = size_bytes(reply.content[keys.ARRAYS])
            yield reply

    for server_round in range(1, settings.rounds + 1):
        start = to_record(travelling(model, frozen=is_frozen(settings, server_round)))
        config = ConfigRecord({keys.SETTINGS: client_settings})
        messages = list(strategy.configure_train(server_round, start, config, _Grid(clients)))
        arriving = replies(messages)
        if settings.training.upload == "float16":
            arriving = restored(arriving, start)
        arrays, _ = strategy.aggregate_train(server_round, arriving)
        assert isinstance(arrays, ArrayRecord)
        model.load_state_dict(to_state(arrays, model.state_dict()))
        trained.psnr_y.append(held_out.score(model)["psnr-y"])
        trained.diagnostics.append(strategy.diagnostics)
        if not scored(trained.psnr_y[-1]):
            break
    trained.state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return trained
