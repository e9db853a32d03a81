"""Time and peak memory of aggregation, ours beside Flower's FedAvg.

    python benchmarks/aggregation.py                       # JSON to stdout; minutes
    python benchmarks/aggregation.py --clients 4 10        # fewer

A model of the given number of parameters in some 560 float32 arrays. Replies are made when they are asked
for, as they come out of a grid; making them isn't timed. Ours are checked, wait for one another as in a
round, in memory or on disk, and are then combined. Each case runs in a process of its own, whose peak
memory is that of the case; `floor-mb` is what the process takes before the first reply. Flower's FedAvg keeps
all replies, and is null where memory doesn't hold them. `ratios` are ours over Flower's, of the fastest of
several calls; where other processes run, processor time tells more than seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.app.metadata import Metadata
from flwr.serverapp.strategy import FedAvg as FlowerFedAvg

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays
from server_app.spool import Spool
from server_app.strategies.base import RoundStrategy
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.fedvsr import FedVSR
from server_app.updates import Update, floating, judge

PARAMETERS = {"10.8M": 10_800_000, "35.6M": 35_600_000}
CLIENTS = [4, 10, 40, 100]
STRATEGIES = ["flower-fedavg", "fedavg", "fedvsr"]


def make(name: str) -> FlowerFedAvg:
    """The strategy of that name."""
    if name == "flower-fedavg":
        return FlowerFedAvg()
    return FedAvg() if name == "fedavg" else FedVSR(num_rounds=100)


def model(parameters: int) -> dict[str, np.ndarray]:
    """As many weights as that, most of them in equal convolutions, half of the arrays biases."""
    generator = np.random.default_rng(0)
    width = 64 * 64 * 9 * parameters // 10_800_000
    count = parameters // (width + 64)
    arrays = {}
    for layer in range(count):
        arrays[f"layer{layer}.weight"] = generator.standard_normal(width, np.float32) * np.float32(0.05)
        arrays[f"layer{layer}.bias"] = np.zeros(64, np.float32)
    return arrays


class Replies:
    """Replies of so many clients, made one by one; knows how long that took."""

    def __init__(self, arrays: dict[str, np.ndarray], clients: int) -> None:
        self.arrays = arrays
        self.clients = clients
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    def __iter__(self) -> Iterator[Message]:
        for client in range(self.clients):
            began, cpu_began = time.perf_counter(), time.process_time()
            reply = self.reply(client)
            self.seconds += time.perf_counter() - began
            self.cpu_seconds += time.process_time() - cpu_began
            yield reply
            del reply

    def reply(self, client: int) -> Message:
        """What one client returns."""
        record = ArrayRecord({name: Array(array) for name, array in self.arrays.items()})
        numbers = MetricRecord({keys.NUM_EXAMPLES: 100 + client, keys.LOSS: 0.02 + 0.001 * client})
        metadata = Metadata(1, f"r{client}", 100 + client, 1, f"m{client}", "", 0.0, 1.0, "train")
        return Message(content=RecordDict({keys.ARRAYS: record, keys.METRICS: numbers}), metadata=metadata)


def combine(strategy: RoundStrategy, model: ArrayRecord, replies: Replies) -> ArrayRecord:
    """What our round loop does between the last reply and the new model."""
    sent = floating(strategy.outgoing(1, model, replies.clients)[keys.ARRAYS])
    with TemporaryDirectory() as folder, Spool(Path(folder) / "updates") as spool:
        updates = []
        for number, reply in enumerate(replies):
            measured = judge(reply.content[keys.ARRAYS], sent, origin=sent)
            numbers = reply.content[keys.METRICS]
            update = Update(
                client=f"client-{number}",
                node=number,
                model=measured,
                examples=float(numbers[keys.NUM_EXAMPLES]),
                loss=float(numbers[keys.LOSS]),
            )
            updates.append(spool.keep(update))
            del reply, measured, update
        combined = strategy.combine(1, updates)
        assert combined is not None
        return record_from_arrays(dict(combined.arrays))


def run_case(name: str, parameters: int, clients: int, repeats: int) -> dict[str, object]:
    """Measure in this process."""
    arrays = model(parameters)
    floor = peak_mb()
    seconds, cpu_seconds, strategy = [], [], make(name)
    for _ in range(repeats):
        replies = Replies(arrays, clients)
        began, cpu_began = time.perf_counter(), time.process_time()
        if name == "flower-fedavg":
            result, _ = strategy.aggregate_train(1, replies)
        else:
            result = combine(strategy, record_from_arrays(arrays), replies)
        seconds.append(time.perf_counter() - began - replies.seconds)
        cpu_seconds.append(time.process_time() - cpu_began - replies.cpu_seconds)
        assert result is not None
        del result
    return {"seconds": seconds, "cpu-seconds": cpu_seconds, "floor-mb": floor, "peak-mb": peak_mb()}


def peak_mb() -> float:
    """Highest resident memory of this process so far."""
    with open("/proc/self/status") as status:
        [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def case_in_a_process(*case: object) -> dict[str, object] | None:
    """Measure in a process of its own, or not at all if memory is short."""
    name, parameters, clients, _ = case
    needed = 4 * int(str(parameters)) * (int(str(clients)) if name == "flower-fedavg" else 10) * 1.3
    if needed > psutil.virtual_memory().available:
        return None
    words = [sys.executable, __file__, "--case", *map(str, case)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env={**os.environ, "FLWR_LOG_LEVEL": "ERROR"}
    )
    measured: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", nargs="*", default=list(PARAMETERS), choices=list(PARAMETERS))
    parser.add_argument("--clients", nargs="*", type=int, default=CLIENTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        name, *numbers = arguments.case
        print(json.dumps(run_case(name, *map(int, numbers))))
        return
    rows = []
    for size in arguments.parameters:
        for clients in arguments.clients:
            row: dict[str, object] = {"parameters": size, "clients": clients}
            for name in STRATEGIES:
                row[name] = case_in_a_process(name, PARAMETERS[size], clients, arguments.repeats)
            rows.append(row | ratios(row))
    json.dump({"cpus": os.cpu_count(), "cases": rows}, sys.stdout, indent=2)
    print()


def ratios(row: dict[str, object]) -> dict[str, object]:
    """Ours over Flower's."""
    theirs = row["flower-fedavg"]
    found: dict[str, object] = {}
    for name in STRATEGIES[1:]:
        ours = row[name]
        if isinstance(theirs, dict) and isinstance(ours, dict):
            for what in ("seconds", "cpu-seconds"):
                found[f"{name}-{what}"] = min(ours[what]) / min(theirs[what])
            found[f"{name}-memory"] = ours["peak-mb"] / theirs["peak-mb"]
    return {"ratios": found}


if __name__ == "__main__":
    main()
