"""What the engine adds to training: seconds of a run and of a round that no client trains in.

    python benchmarks/engine.py                             # this checkout; JSON to stdout; minutes
    python benchmarks/engine.py --before /path/of/another   # alternately with another checkout

The cheapest federation (experiment ``smoke``: clips made in code, two steps a client) with 2, 10 and 40
simulated clients, one at a time, by the command ``fedvsr run``. `first-line-s` is from the command to the
first line that it shows, `first-round-s` to the first round, `round-s` the median of the later rounds with
their evaluation, `beyond-s` that without the clients' own seconds, `run-s` the whole command. `cpu-s` is
what the command and all that it started have computed by its end, where the engine is ended with it: unlike
seconds, it hardly depends on what else the machine does.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parents[1]
ROUNDS = 5
ENGINE = "client-resources-num-cpus=1 init-args-num-cpus=1"


def measured(checkout: Path, clients: int) -> dict[str, float]:
    """Run a federation by the code of a checkout, in a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(checkout),
            "FLWR_HOME": f"{folder}/home",
            "FEDVSR_RUNS": f"{folder}/runs",
            "FLWR_TELEMETRY_ENABLED": "0",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "fedvsr.cli.main"]
        words = ["run", str(checkout), "-c", f'experiment="smoke" overrides="rounds={ROUNDS}"']
        size = ["--federation-config", f"num-supernodes={clients} {ENGINE}"]
        began = time.monotonic()
        with subprocess.Popen(
            [*command, *words, *size], env=environment, cwd=folder, text=True, stdout=subprocess.PIPE
        ) as run:
            assert run.stdout is not None
            shown = [(time.monotonic() - began, line) for line in run.stdout]
        took = time.monotonic() - began
        cpu = _cpu_of(folder)
        subprocess.run([*command, "stop"], env=environment, cwd=folder, check=True, capture_output=True)
        if run.returncode:
            sys.exit("".join(line for _, line in shown))
        [journal] = Path(folder, "runs").glob("*/journal.jsonl")
        lines = [json.loads(text) for text in journal.read_text().splitlines()]
    trained = {line["round"]: line for line in lines if line["phase"] == "train"}
    scored = {line["round"]: line["seconds"] for line in lines if line["phase"] == "evaluate"}
    rounds = {number: line["seconds"] + scored.get(number, 0) for number, line in trained.items()}
    own = {number: sum(row["seconds"] for row in line["clients"]) for number, line in trained.items()}
    later = [number for number in rounds if number > 1]
    return {
        "first-line-s": shown[0][0],
        "first-round-s": next(after for after, line in shown if "round 1/" in line),
        "round-s": statistics.median(rounds[number] for number in later),
        "beyond-s": statistics.median(rounds[number] - own[number] for number in later),
        "run-s": took,
        "cpu-s": cpu,
    }


def _cpu_of(folder: str) -> float:
    """Seconds that the engine with this home has computed, with what it has started and what has ended."""
    total = 0.0
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLWR_HOME", "").startswith(folder):
                total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--clients", type=int, nargs="+", default=[2, 10, 40])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    checkouts = {"after": HERE} | ({"before": asked.before.resolve()} if asked.before else {})
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for _ in range(asked.repeats):
        for clients in asked.clients:
            for name, checkout in checkouts.items():
                row = measured(checkout, clients)
                results.setdefault(str(clients), {}).setdefault(name, []).append(row)
                print(clients, name, row, file=sys.stderr, flush=True)
    medians = {
        clients: {
            name: {key: round(statistics.median(row[key] for row in rows), 2) for key in rows[0]}
            for name, rows in by_name.items()
        }
        for clients, by_name in results.items()
    }
    print(json.dumps(medians, indent=1))


if __name__ == "__main__":
    main()
