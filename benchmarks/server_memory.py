"""Peak memory of the ServerApp by the number of clients, in Flower's simulation engine.

    python benchmarks/server_memory.py            # JSON to stdout; minutes

Three rounds with a model of 10.8 M parameters, 43 MB, that every client receives, trains for a step and
returns. In simulation the process of the ServerApp also holds the engine's queue of messages, and the parts
of Flower that start the clients. `server-memory-mb` is the peak of that process after each round.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from fedvsr_core import engine
from fedvsr_core.records.journal import read_journal

APP = Path(__file__).parents[1]
POLL_S = 10
WIDTH = 339  # of the recurrent network: 10.8 M parameters


def run(clients: int, strategy: str) -> dict[str, object]:
    """The peak after each round."""
    with tempfile.TemporaryDirectory() as root:
        overrides = (
            f"run.root={root} model.width={WIDTH} rounds=3 training.steps=1 training.batch=1"
            f" training.window=1 training.patch=4 data.clips={clients} data.frames=2"
            " data.held_out_clips=1 evaluation.every=3"
        )
        run_id = engine.submit(
            APP,
            run_config=f"experiment='smoke' strategy='{strategy}' overrides='{overrides}'",
            federation_config=f"num-supernodes={clients} client-resources-num-cpus=1 init-args-num-cpus=2",
        )
        while not str((ended := engine.status(run_id))["status"]).startswith("finished"):
            time.sleep(POLL_S)
        [journal] = Path(root).glob("*/journal.jsonl")
        lines = [line for line in read_journal(journal) if line["phase"] == "train"]
    return {
        "status": ended["status"],
        "upload-mb": lines[0]["bytes-up"] / clients / 1e6,
        "server-memory-mb": [line["server-memory-mb"] for line in lines],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[4, 40])
    parser.add_argument("--strategies", nargs="*", default=["fedvsr"])
    arguments = parser.parse_args()
    result = {
        strategy: {str(clients): run(clients, strategy) for clients in arguments.clients}
        for strategy in arguments.strategies
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
