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

import numpy as np
import torch
from flwr.app import Array, Message
from in_process import federate

from fedvsr_core.flower import keys
from server_app.config import compose

CLIENTS = 4
LIAR = 3
"""Node of partition-2."""
LIE = 1e-6
CASES = [("fedvsr", False), ("fedvsr", True), ("fedvsr_unguarded", True), ("high_frequency_only", True)]


def lie(message: Message, reply: Message) -> None:
    """What the liar makes of its reply."""
    if message.metadata.dst_node_id == LIAR:
        sent, returned = message.content[keys.ARRAYS], reply.content[keys.ARRAYS]
        for name, array in returned.items():
            returned[name] = Array(np.asarray(2 * sent[name].numpy() - array.numpy()))
        reply.content[keys.METRICS][keys.LOSS] = LIE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    overrides = f"rounds={arguments.rounds} training.steps={arguments.steps}"
    result = {}
    for strategy, lies in CASES:
        settings = compose({"strategy": strategy, "overrides": overrides})
        trained = federate(settings, clients=CLIENTS, **({"spoil": lie} if lies else {}))
        result[f"{strategy}, {'one liar' if lies else 'all honest'}"] = {
            "bicubic": trained.bicubic,
            "psnr-y": trained.psnr_y,
            "liar-weight": trained.weights(f"partition-{LIAR - 1}"),
        }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
