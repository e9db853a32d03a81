"""A round of training by several processes, each on a device of this site and on its share of every batch."""

import logging
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch
import torch.distributed
from flwr.app import RecordDict

from client_app.local_data import MEMORY_MB, NodeConfig
from client_app.training_round import train_and_report
from fedvsr_core import devices
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.training.ranks import Ranks

_log = logging.getLogger(__name__)

_ENDS_S = 2
"""Seconds that a process has to end after another one has failed."""
_LONGEST_WAIT = timedelta(days=1)
"""For a rank in a sum; the parent, which sees every rank, ends them much earlier where one is missing."""


def training_devices(node_config: NodeConfig, batch: int) -> list[torch.device]:
    """The devices that this node trains on, one process each.

    Args:
        node_config: `keys.DEVICES` says how many, `keys.DEVICE` of what kind.
        batch: Samples a step; where it isn't a multiple of the number of devices, some stay idle.

    Raises:
        ConfigurationError: If there aren't as many.
    """
    name, count = str(node_config.get(keys.DEVICE, "auto")), int(str(node_config.get(keys.DEVICES, 1)))
    device = devices.choose(name)
    if count == 1:
        return [device]
    there = torch.cuda.device_count() if device.type == "cuda" else count if device.type == "cpu" else 1
    if not 1 <= count <= there or device.index is not None:
        raise ConfigurationError(
            f"'{keys.DEVICES}' must be 1, or at most the number of GPUs with '{keys.DEVICE}' auto or cuda, or"
            f" any with cpu, got {count} of {there} with '{name}'"
        )
    used = max(number for number in range(1, count + 1) if batch % number == 0)
    if used < count:
        _log.warning(
            "%d of %d devices train: a batch of %d isn't divided by more; a multiple of %d is",
            used, count, batch, count,
        )  # fmt: skip
    return [torch.device("cuda", rank) if device.type == "cuda" else device for rank in range(used)]


def train_on_several(
    content: RecordDict, node_config: NodeConfig, state: RecordDict, places: Sequence[torch.device]
) -> RecordDict:
    """Train a round in processes of their own, and take what the first of them returns.

    Args:
        content: What the server sent.
        node_config: What this node was started with.
        state: What this client keeps between rounds; changed in place.
        places: The device of each process.

    Raises:
        RuntimeError: If a process ends without an answer.
        MemoryError: If the system killed it, as it does when memory is short.
        Exception: Whatever a process raised.
    """
    context = multiprocessing.get_context("spawn")  # CUDA doesn't survive a fork
    memory_mb = float(str(node_config.get(keys.MEMORY_MB, MEMORY_MB))) / len(places)
    shared = {**node_config, keys.MEMORY_MB: memory_mb, keys.DEVICES: 1}
    with tempfile.TemporaryDirectory() as folder:
        processes, answers = list[SpawnProcess](), list[Connection]()
        try:
            for rank, place in enumerate(places):
                ours, theirs = context.Pipe(duplex=False)
                ranks, meeting = Ranks(rank, len(places)), Path(folder) / "meeting"
                given = content, {**shared, keys.DEVICE: str(place)}, state, place, ranks, meeting, theirs
                processes.append(context.Process(target=_run_rank, args=given, daemon=True))
                processes[-1].start()
                theirs.close()
                answers.append(ours)
            reply, kept = _answer(processes, answers)
        finally:
            for process in processes:
                process.kill()
                process.join()
    state.clear()
    state.update(kept)
    return reply


def _answer(
    processes: Sequence[SpawnProcess], answers: Sequence[Connection]
) -> tuple[RecordDict, RecordDict]:
    """Wait for all; the first one's answer, or an error."""
    waiting, replies = list(answers), dict[int, tuple[RecordDict, RecordDict]]()
    while waiting:
        ready = wait(waiting)
        for answer in [answer for answer in waiting if answer in ready]:
            rank = answers.index(answer)
            waiting.remove(answer)
            try:
                told = answer.recv()
            except EOFError:
                raise _death(rank, processes) from None
            if isinstance(told, Exception):
                for other, process in enumerate(processes):  # does it only tell of another one's end?
                    process.join(0 if other == rank else _ENDS_S)
                    if process.exitcode:
                        raise _death(other, processes) from told
                raise told
            replies[rank] = told
    return replies[0]


def _death(rank: int, processes: Sequence[SpawnProcess]) -> Exception:
    processes[rank].join(_ENDS_S)
    code = processes[rank].exitcode
    told = f"process {rank + 1} of {len(processes)} of this round's training ended with exit code {code}"
    return MemoryError(f"{told}; is memory short?") if code == -9 else RuntimeError(told)


def _run_rank(
    content: RecordDict,
    node_config: NodeConfig,
    state: RecordDict,
    device: torch.device,
    ranks: Ranks,
    meeting: Path,
    answer: Connection,
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(max(torch.get_num_threads() // ranks.count, 1))
        torch.distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=f"file://{meeting}",
            rank=ranks.rank,
            world_size=ranks.count,
            timeout=_LONGEST_WAIT,
        )
        reply = train_and_report(content, node_config, state, device, ranks)
        answer.send((reply, state))
        torch.distributed.destroy_process_group()
    except Exception as error:  # any at all: the parent declines with it
        answer.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
