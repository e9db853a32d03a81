"""Peak memory of the ServerApp by the number of clients, in Flower's simulation engine.

    python benchmarks/server_memory.py            # JSON to stdout; minutes
    python benchmarks/server_memory.py --overrides secure.enabled=true    # of secure rounds

Three rounds with a model of 10.8 M parameters, 43 MB, that every client receives, trains for a step and
returns. In simulation the process of the ServerApp also holds the engine's queue of messages, and the parts
of Flower that start the clients. `server-memory-mb` is the peak of that process after each round, with the
pages that it shares with Ray's store, through which simulated clients get and return their messages;
`own-mb` is the peak of what it shares with no one, seen twenty times a second.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from fedvsr import engine
from server_app.records.journal import read_journal

APP = Path(__file__).parents[1]
POLL_S = 10
WIDTH = 339  # of the recurrent network: 10.8 M parameters


def run(clients: int, strategy: str, more: str) -> dict[str, object]:
    """The peak after each round."""
    with tempfile.TemporaryDirectory() as root:
        overrides = (
            f"run.root={root} model.width={WIDTH} rounds=3 training.steps=1 training.batch=1"
            f" training.window=1 training.patch=4 data.clips={clients} data.frames=2"
            f" data.held_out_clips=1 evaluation.every=3 {more}"
        )
        run_id = engine.submit(
            APP,
            run_config=f"experiment='smoke' strategy='{strategy}' overrides='{overrides}'",
            federation_config=f"num-supernodes={clients} client-resources-num-cpus=1 init-args-num-cpus=2",
        )
        own = 0.0
        while not str((ended := engine.status(run_id))["status"]).startswith("finished"):
            until = time.monotonic() + POLL_S
            while time.monotonic() < until:
                time.sleep(0.05)
                own = max(own, *map(own_mb, Path(root).glob("*/.lock")), 0)
        [journal] = Path(root).glob("*/journal.jsonl")
        lines = [line for line in read_journal(journal) if line["phase"] == "train"]
    return {
        "status": ended["status"],
        "upload-mb": lines[0]["bytes-up"] / clients / 1e6,
        "own-mb": own,
        "server-memory-mb": [line["server-memory-mb"] for line in lines],
    }


def own_mb(lock: Path) -> float:
    """What the process that holds a run directory shares with no other, 0 if it has ended."""
    try:
        memory = psutil.Process(int(lock.read_text())).memory_info()
    except (ValueError, psutil.NoSuchProcess):
        return 0.0
    return float(memory.rss - memory.shared) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[4, 40])
    parser.add_argument("--strategies", nargs="*", default=["fedvsr"])
    parser.add_argument("--overrides", default="", help="as for a run")
    arguments = parser.parse_args()
    result = {
        strategy: {str(clients): run(clients, strategy, arguments.overrides) for clients in arguments.clients}
        for strategy in arguments.strategies
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
