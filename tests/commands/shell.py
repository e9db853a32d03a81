"""A shell in which ``fedvsr`` is called as a person or a scheduler does, beside Flower or stand-ins."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from fedvsr.endings import ENDING
from server_app.records.run_dir import RunDir

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 300  # of any wait; many times what it takes on a quiet machine
STAND_IN = "tests.commands.stand_in.command"


class Shell:
    """Calls the command in a home of its own.

    Args:
        folder: For the home, and for all that is written.
        module: What is called: the command itself, or with stand-ins for Flower's programs.
    """

    def __init__(self, folder, module=STAND_IN):
        self.folder, self.module = folder, module
        self.runs, self.app = folder / "runs", folder / "app"
        self.app.mkdir(parents=True)
        (self.app / "pyproject.toml").touch()
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "FLWR_HOME": str(folder / "home"),
            "FEDVSR_RUNS": str(self.runs),
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
        }

    def start(self, *words, ignored=(), stdout=subprocess.PIPE, **environment):
        """Start the command, with some signals ignored as scripts and nohup do."""

        def as_given():
            for number in ENDING:
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        return subprocess.Popen(
            [sys.executable, "-m", self.module, *map(str, words)],
            env={**self.environment, **environment},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=as_given,
            start_new_session=True,
        )

    def call(self, *words, **environment):
        """Call the command to its end; returns its status and what it said."""
        process = self.start(*words, **environment)
        said, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, said

    def running(self, *words, app=None, **how):
        """Start a run; returns the command, and the run's directory once it is at work."""
        before = self.directories()
        process = self.start("run", app or self.app, *words, **how)
        self.wait_for(lambda: self.directories() - before, process)
        return process, RunDir(next(iter(self.directories() - before)))

    def directories(self):
        """Those of runs that have begun."""
        return {path.parent for path in self.folder.glob("runs*/*/journal.jsonl") if path.stat().st_size}

    def wait_for(self, condition, process=None):
        """Poll a condition."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            if process is not None and process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode}: {process.communicate()[0]}")
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def left(self):
        """Names of all processes that were started for this home, by whomever."""
        names = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("FLWR_HOME") == self.environment["FLWR_HOME"]:
                    names.append(process.name())
        return names

    def close(self):
        """End whatever is left."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("FLWR_HOME") == self.environment["FLWR_HOME"]:
                    process.kill()
