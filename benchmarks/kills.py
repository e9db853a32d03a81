"""What a run loses that is killed, or whose disk fills: the real round loop, resumed, compared byte by byte.

    python benchmarks/kills.py --kills 40 --full-disks 10

Each run is a process of its own. SIGKILL ends it up to 20 ms after one of the times at which it makes the
disk keep something, drawn from the seed; or its run directory lies on a small disk of a size drawn from it
(that needs root, to mount a tmpfs). Afterwards its journal must be readable, its last checkpoint at most one
round behind the journal, and the run, resumed, must end with the same bytes as one that nothing has happened
to. Prints a JSON object; ends with 1 if one of this isn't so.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory
from typing import cast
from unittest import mock

import torch
from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity
from in_process import _Clients

from fedvsr_core.errors import FedVSRError
from server_app.app import app
from server_app.checkpoints import LAST, load_round
from server_app.records.history import rounds_done
from server_app.records.journal import read_journal
from server_app.records.run_dir import RunDir, run_dirs

ROUNDS = 3
TINY = (
    f"data=synthetic rounds={ROUNDS} model.width=4 model.blocks=1 data.clips=4 data.held_out_clips=1"
    " data.frames=4 data.height=8 data.width=8 partition.min_frames=2 partition.min_size=16 training.steps=1"
    " training.batch=1 training.window=2 training.patch=4 run.keep=2"
)
COMPLETED, REFUSED, BROKEN = 0, 3, 4
"""How a process ends: at its end, with a sentence of ours, or with anything else."""


@dataclass
class Outcome:
    """What became of one run.

    Attributes:
        harm: ``kill 3 ms after sync 12`` or ``disk of 80 kB``.
        ended: How the process ended.
        said: Its sentence, if it had one.
        done: Rounds in its last checkpoint; -1 for none.
        journaled: Rounds in its journal; -1 if it had none yet.
        readable: Whether journal and checkpoint could be read.
        same: Whether the resumed run ended with the same bytes.
    """

    harm: str
    ended: int
    said: str = ""
    done: int = -1
    journaled: int = -1
    readable: bool = False
    same: bool = False

    @property
    def harmless(self) -> bool:
        """Whether nothing was lost beyond a round."""
        fine = self.ended in (COMPLETED, REFUSED, -SIGKILL)
        return fine and self.readable and self.same and self.done >= self.journaled - 1


class Syncs:
    """Counts how often a process makes the disk keep something, and ends it after one of these.

    Args:
        last: Which, from 1; None for never.
        after_s: How long after it.
    """

    def __init__(self, last: int | None = None, after_s: float = 0.0) -> None:
        self.count, self._last, self._after_s = 0, last, after_s
        self._sync = os.fsync

    def __call__(self, file: int) -> None:
        """What `os.fsync` does, and one more of them."""
        self._sync(file)
        self.count += 1
        if self.count == self._last:
            threading.Timer(self._after_s, os.kill, (os.getpid(), SIGKILL)).start()


def serve(overrides: str, said: Path, syncs: Syncs | None = None) -> int:
    """Run the ServerApp and its clients in a process of their own; returns the process id.

    Args:
        overrides: The run's.
        said: For what it says; at its end, if all went well, the number of its syncs.
        syncs: What counts them.
    """
    child = os.fork()
    if child:
        return child
    ended = BROKEN
    try:
        with said.open("w") as file, TemporaryDirectory() as folder:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            grid = cast(Grid, _Clients(2, _nothing, _nothing, "cpu", folder))
            counted = syncs or Syncs()
            # Drawing takes longer than the rounds.
            with mock.patch("server_app.app._report"), mock.patch("os.fsync", counted):
                app(grid, Context(1, 1, {}, RecordDict(), {"overrides": overrides}))
        said.write_text(str(counted.count))
        ended = COMPLETED
    except FedVSRError as error:
        said.write_text(str(error))
        ended = REFUSED
    finally:
        os._exit(ended)


def _nothing(*messages: Message) -> None:
    """What honest clients do to messages."""


def wait_for(child: int, limit_s: float = 600.0) -> int:
    """How a process ends, or ends it after so many seconds with SIGKILL."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def newest(root: Path) -> RunDir | None:
    """The run below a folder, if its journal was begun."""
    runs = run_dirs(root)
    return runs[-1] if runs else None


def finished(root: Path, said: Path) -> bytes | None:
    """Go on with a run, or begin it again if it had no journal; returns its last checkpoint."""
    run = newest(root)
    words = f"{TINY} run.root={root}" if run is None else f"run.resume={run.path}"
    if wait_for(serve(words, said)) != COMPLETED:
        return None
    run = newest(root)
    return (run.checkpoints / LAST).read_bytes() if run else None


def look(outcome: Outcome, root: Path) -> None:
    """Read what a run has left."""
    run = newest(root)
    try:
        if run is not None:
            outcome.journaled = rounds_done(read_journal(run.journal))
            if (run.checkpoints / LAST).exists():
                outcome.done = load_round(run.checkpoints / LAST).round
        outcome.readable = True
    except FedVSRError as error:
        outcome.said = str(error)


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[None]:
    """A disk of so many kB, as a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def main() -> int:
    """Harm as many runs as asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--full-disks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("task_id", "run_id", "node_id"):
        setattr(TaskIdentity, name, 1)
    rng, outcomes = random.Random(wanted.seed), []
    with TemporaryDirectory() as folder:
        base = Path(folder)
        finished(base / "first", base / "first.log")  # compiles and reads what later ones find
        expected = finished(base / "whole", base / "whole.log")
        if expected is None:
            sys.exit(f"a run that nothing happens to must complete: {(base / 'whole.log').read_text()}")
        syncs = int((base / "whole.log").read_text())
        left = [path for path in (base / "whole").rglob("*") if path.is_file() and path.suffix != ".png"]
        whole_kb = sum(path.stat().st_size for path in left) // 1024
        for number in range(wanted.kills):
            root = base / f"killed-{number}"
            last, after_s = rng.randrange(1, syncs), rng.uniform(0, 0.02)
            child = serve(f"{TINY} run.root={root}", base / "said", Syncs(last, after_s))
            harm = f"kill {1000 * after_s:.0f} ms after sync {last} of {syncs}"
            outcome = Outcome(harm, wait_for(child))
            look(outcome, root)
            outcome.same = finished(root, base / "said") == expected
            outcomes.append(outcome)
            print(outcome, file=sys.stderr, flush=True)
        for number in range(wanted.full_disks):
            root, size_kb = base / f"full-{number}", rng.randrange(8, whole_kb)
            with small_disk(root, size_kb):
                ended = wait_for(serve(f"{TINY} run.root={root}", base / "said"))
                outcome = Outcome(f"disk of {size_kb} kB", ended, (base / "said").read_text()[-200:])
                look(outcome, root)
                subprocess.run(["mount", "-o", "remount,size=256m", str(root)], check=True)
                outcome.same = finished(root, base / "said") == expected
            outcomes.append(outcome)
            print(outcome, file=sys.stderr, flush=True)
    bad = [asdict(outcome) for outcome in outcomes if not outcome.harmless]
    lost = [outcome.journaled - outcome.done for outcome in outcomes]
    print(
        json.dumps(
            {
                "runs": len(outcomes),
                "harmless": len(outcomes) - len(bad),
                "syncs of a whole run": syncs,
                "kB of a whole run, without plots": whole_kb,
                "killed before their end": sum(outcome.ended == -SIGKILL for outcome in outcomes),
                "ended by a full disk": sum(outcome.ended == REFUSED for outcome in outcomes),
                "rounds lost at most": max(lost, default=0),
                "harmed": bad,
            },
            indent=1,
        )
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
