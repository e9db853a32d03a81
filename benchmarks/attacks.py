"""What clients that lie do to a run.

    python benchmarks/attacks.py --strategies fedvsr,fedavg --clients 4 --liars 1 --json FILE    # an hour
    python benchmarks/attacks.py --strategies fedavg --attacks reversed,drift --rounds 8

Real training of the default model on the default clips, in this process, through the real round loop: its
screening, its strategies and its roll-back. Liars train as the others do; then each changes what it returns,
in every round, and knows all that the server does. For each strategy, honest clients alone come first.

Prints a table: the PSNR-Y of the honest runs, and by how much the attacked ones differ. The file is a list of
objects: ``strategy``, ``attack``, ``clients``, ``liars`` and ``seed``; ``honest``, ``first``
and ``final``, the PSNR-Y in dB of eight frames of each held-out clip, of the honest run after the last round,
and of the attacked one after the first and after the last; ``bicubic``; ``refused`` and
``honest-refused``, how often a liar and another client was.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, Message
from in_process import Trained, federate

from fedvsr_core import components
from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.data.camera import Place
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, to_arrays
from fedvsr_core.settings import Settings
from server_app.config import compose
from server_app.reach import reach

Change = Callable[["Liar", NamedArrays, NamedArrays], NamedArrays]
"""Of the arrays that a liar was sent, and of its honest step from them; gives the step that it tells."""

components.ALLOWED = (*components.ALLOWED, "attacks.")  # a liar's own process loads what it likes

HUGE_COUNT, TINY_LOSS = 10**7, 1e-6


@dataclass
class Liar:
    """One client that lies.

    Attributes:
        change: What it does to its step.
        settings: The run's, which it knows.
        seed: Of its random numbers; colluding clients have the same one.
        metrics: What it claims, by the names of `keys`.
    """

    change: Change
    settings: Settings
    seed: int
    metrics: dict[str, float]
    round: int = 0
    first: NamedArrays | None = None

    def spoil(self, message: Message, reply: Message) -> None:
        """Change the reply."""
        self.round += 1
        sent, trained = to_arrays(message.content[keys.ARRAYS]), to_arrays(reply.content[keys.ARRAYS])
        self.first = self.first or trained
        told = self.change(self, sent, {name: trained[name] - sent[name] for name in sent})
        reply.content[keys.ARRAYS] = ArrayRecord(
            {name: Array(np.asarray(sent[name] + told[name], sent[name].dtype)) for name in sent}
        )
        reply.content[keys.METRICS].update(self.metrics)


def _norm(step: NamedArrays) -> float:
    return math.sqrt(sum(float(np.square(part, dtype=np.float64).sum()) for part in step.values()))


def _times(factor: float) -> Change:
    return lambda liar, sent, step: {name: factor * part for name, part in step.items()}


def _reversed_at_bound(liar: Liar, sent: NamedArrays, step: NamedArrays) -> NamedArrays:
    # As long as its optimiser could, and no longer than what is refused for its length in honest company.
    furthest = reach(liar.settings, initial_model(liar.settings), sent)
    longest = min(0.99 * furthest, 0.5 * (liar.settings.screening.norm_factor or math.inf) * _norm(step))
    return _times(-longest / _norm(step))(liar, sent, step)


def _random(liar: Liar, step: NamedArrays, seed: int) -> NamedArrays:
    """A step in a random direction, as long as the honest one."""
    generator = np.random.default_rng(seed)
    other = {name: generator.standard_normal(part.shape) for name, part in step.items()}
    return _times(_norm(step) / _norm(other))(liar, step, other)


def _drift(liar: Liar, sent: NamedArrays, step: NamedArrays) -> NamedArrays:
    return _random(liar, step, liar.seed)


def _long_drift(liar: Liar, sent: NamedArrays, step: NamedArrays) -> NamedArrays:
    return _times(2.0)(liar, sent, _random(liar, step, liar.seed))


def _noise(liar: Liar, sent: NamedArrays, step: NamedArrays) -> NamedArrays:
    return _random(liar, step, 1000 * liar.seed + liar.round)


def _stale(liar: Liar, sent: NamedArrays, step: NamedArrays) -> NamedArrays:
    assert liar.first is not None
    return {name: liar.first[name] - sent[name] for name in sent}


class Elsewhere:
    """A degradation's step that shows another part of the scene."""

    range = (0.0, 0.0)
    reach = 0
    grid = 1

    def __call__(self, frames: np.ndarray, value: float, place: Place, seed: int) -> np.ndarray:
        """Frames (T, H, W, 3), shifted by half of their width."""
        return np.roll(frames, frames.shape[2] // 2, axis=2)


def _mislabel(message: Message) -> None:
    """Let a client train on low-resolution frames that belong to another part of the scene."""
    config = message.content[keys.CONFIG]
    settings = json.loads(str(config[keys.SETTINGS]))
    settings["degradation"] = {
        "_target_": "fedvsr_core.data.camera.Camera",
        "steps": {
            "elsewhere": {"_target_": "attacks.Elsewhere"},
            "shrink": {"_target_": "fedvsr_core.data.camera.Shrink"},
        },
        "scale": settings["degradation"]["scale"],
        "seed": 0,
    }
    config[keys.SETTINGS] = json.dumps(settings)


ATTACKS: dict[str, tuple[Change, dict[str, float]]] = {
    "reversed_at_bound": (_reversed_at_bound, {}),
    "reversed": (_times(-1.0), {}),
    "three_times": (_times(3.0), {}),
    "drift": (_drift, {}),
    "long_drift": (_long_drift, {}),
    "tiny_loss": (_drift, {keys.LOSS: TINY_LOSS}),
    "huge_count": (_drift, {keys.NUM_EXAMPLES: HUGE_COUNT}),
    "noise": (_noise, {}),
    "stale": (_stale, {}),
    "mislabelled": (_times(1.0), {}),
}


def run(settings: Settings, attack: str | None, *, clients: int, liars: int, seed: int) -> Trained:
    """Train, with the last ``liars`` of the clients lying.

    Args:
        settings: The run's.
        attack: A key of `ATTACKS`; None for honest clients.
        clients: All of them.
        liars: How many lie; they collude, where that helps them.
        seed: Of their random numbers.
    """
    if attack is None:
        return federate(settings, clients=clients)
    change, metrics = ATTACKS[attack]
    nodes = range(clients - liars + 1, clients + 1)
    lying = {node: Liar(change, settings, seed + 1, metrics) for node in nodes}

    def mislead(message: Message) -> None:
        if attack == "mislabelled" and message.metadata.dst_node_id in lying:
            _mislabel(message)

    def spoil(message: Message, reply: Message) -> None:
        if (liar := lying.get(message.metadata.dst_node_id)) is not None:
            liar.spoil(message, reply)

    return federate(settings, clients=clients, mislead=mislead, spoil=spoil)


def table(results: list[dict[str, Any]]) -> str:
    """By attack and strategy, the difference to honest clients after the last round, in dB; Markdown."""
    strategies = list(dict.fromkeys(result["strategy"] for result in results))
    lines = [f"| attack | {' | '.join(strategies)} |", "| --- |" + " --- |" * len(strategies)]
    for attack in dict.fromkeys(result["attack"] for result in results):
        cells = []
        for strategy in strategies:
            of = [each for each in results if (each["strategy"], each["attack"]) == (strategy, attack)]
            honest, final = (np.mean([each[name] for each in of]) for name in ("honest", "final"))
            cells.append(f"{honest:.2f} dB" if attack == "none" else f"{final - honest:+.3f}")
        lines.append(f"| {attack} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", default="fedvsr,fedavg,fedvsr_ahead,fedvsr_robust")
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--liars", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", default="0", help="of runs, comma-separated")
    parser.add_argument("--overrides", default="training.steps=10", help="as for a run")
    parser.add_argument("--json", type=Path, help="all results, written after each run")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    attacks = [name for name in arguments.attacks.split(",") if name]
    if unknown := set(attacks) - ATTACKS.keys():
        parser.error(
            f"--attacks: no such attack: {', '.join(sorted(unknown))}; there are {', '.join(ATTACKS)}"
        )
    results: list[dict[str, Any]] = []
    for seed in map(int, arguments.seeds.split(",")):
        for strategy in arguments.strategies.split(","):
            overrides = f"rounds={arguments.rounds} seed={seed} {arguments.overrides}"
            settings = compose({"strategy": strategy, "overrides": overrides})
            crowd = {"clients": arguments.clients, "seed": seed}
            honest = run(settings, None, liars=0, **crowd)
            for attack in [None, *attacks]:
                liars = arguments.liars if attack else 0
                trained = run(settings, attack, liars=liars, **crowd) if attack else honest
                names = {f"partition-{arguments.clients - 1 - number}" for number in range(liars)}
                refusals = [row["client"] for line in trained.rounds for row in line["refused"]]
                result = {
                    "strategy": strategy,
                    "attack": attack or "none",
                    **crowd,
                    "liars": liars,
                    "honest": honest.psnr_y[-1],
                    "first": trained.psnr_y[1],
                    "final": trained.psnr_y[-1],
                    "bicubic": trained.bicubic,
                    "refused": sum(client in names for client in refusals),
                    "honest-refused": sum(client not in names for client in refusals),
                }
                results.append(result)
                print(json.dumps(result), file=sys.stderr, flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(results, indent=2))
    print(table(results))


if __name__ == "__main__":
    main()
