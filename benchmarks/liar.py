"""What one liar among four clients does to a run, with and without the guard on weights.

    python benchmarks/liar.py             # JSON to stdout; minutes

Real training of the default model on the default clips, in this process. The liar trains as the others do,
then returns the model moved the other way, by as much, and reports a loss of 1e-6: nothing that screening
could see. `psnr-y` is of eight frames of each held-out clip, by round; `liar-weight` is what the liar's model
counted.
"""

import argparse
import json
import sys
from collections.abc import Iterable

import numpy as np
import torch
from flwr.app import Array, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client_app.app import app
from fedvsr_core.components import build
from fedvsr_core.config import compose
from fedvsr_core.evaluation import HeldOut
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_record, to_state
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.seeds import derive
from fedvsr_core.settings import Settings
from server_app.strategies.base import RoundStrategy

CLIENTS = 4
LIAR = 2
LIE = 1e-6
CASES = [("fedvsr", False), ("fedvsr", True), ("fedvsr_unguarded", True), ("high_frequency_only", True)]


class Grid:
    """Shows the clients as nodes."""

    def get_node_ids(self) -> list[int]:
        """Node ids: the partitions."""
        return list(range(CLIENTS))


def answer(message: Message, lies: bool) -> Message:
    """What the client that a message goes to returns."""
    partition = message.metadata.dst_node_id
    node_config = {keys.PARTITION_ID: partition, keys.NUM_PARTITIONS: CLIENTS}
    reply: Message = app(message, Context(1, partition, node_config, RecordDict(), {}))
    if lies and partition == LIAR:
        sent, returned = message.content[keys.ARRAYS], reply.content[keys.ARRAYS]
        for name, array in returned.items():
            returned[name] = Array(np.asarray(2 * sent[name].numpy() - array.numpy()))
        reply.content[keys.METRICS][keys.LOSS] = LIE
    return reply


def run(settings: Settings, lies: bool) -> dict[str, object]:
    """Train, and score after each round."""
    torch.manual_seed(derive(settings.seed, "model"))
    model: VideoModel = build(settings.model)
    strategy: RoundStrategy = build(settings.strategy.server, num_rounds=settings.rounds)
    shots = [shot.between(0, 8) for shot in build(settings.data).held_out()]
    degradation = build(settings.degradation)
    held_out = HeldOut(shots, degradation=degradation, chunk=8, device=torch.device("cpu"))
    client_settings = settings.for_clients().model_dump_json()
    scores, weights = [held_out.score(model)["psnr-y"]], []
    for server_round in range(1, settings.rounds + 1):
        config = ConfigRecord({keys.SETTINGS: client_settings})
        messages: Iterable[Message] = strategy.configure_train(
            server_round, to_record(model.state_dict()), config, Grid()
        )
        arrays, _ = strategy.aggregate_train(server_round, (answer(message, lies) for message in messages))
        assert arrays is not None
        model.load_state_dict(to_state(arrays, model.state_dict()))
        scores.append(held_out.score(model)["psnr-y"])
        weights.append(strategy.diagnostics["weights"][LIAR])
    return {"bicubic": held_out.bicubic["psnr-y"], "psnr-y": scores, "liar-weight": weights}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in ("task_id", "run_id", "node_id"):
        setattr(TaskIdentity, name, 1)
    overrides = f"rounds={arguments.rounds} training.steps={arguments.steps}"
    result = {}
    for strategy, lies in CASES:
        settings = compose({"strategy": strategy, "overrides": overrides})
        result[f"{strategy}, {'one liar' if lies else 'all honest'}"] = run(settings, lies)
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
