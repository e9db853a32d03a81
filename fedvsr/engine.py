"""Flower's local simulation engine, from submitting a run to its real outcome.

``flwr run --stream`` returns 0 even when the run failed, starts the engine with whatever folder and
environment the shell happens to have, and nothing ever stops that engine; here all three are put right.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from fedvsr_core.errors import FederationError
from fedvsr_core.flower.home import flower_home

AWAY_S = 600.0
"""How long a SuperLink may be away, restarting."""
_POLL_S = 5.0
_AWAY = "Connection to the SuperLink is unavailable"


def submit(app: Path, *, run_config: str = "", federation_config: str = "", superlink: str = "") -> str:
    """Submit an app; an interrupt meanwhile ends the run that may already have begun.

    Args:
        app: Folder with the app's ``pyproject.toml``.
        run_config: As for ``flwr run --run-config``.
        federation_config: As for ``flwr run --federation-config``, such as ``num-supernodes=4``.
        superlink: Name of a connection in Flower's ``config.toml``; empty for the default one.

    Returns:
        The run's id.

    Raises:
        FederationError: If the engine doesn't take the app.
    """
    options = [("--run-config", run_config), ("--federation-config", federation_config)]
    words = ["run", str(app.resolve()), superlink, "--format", "json"]
    with _held_back() as interrupts:
        answer = _answer(*words, *(word for option in options if option[1] for word in option))
    if interrupts:
        if "run-id" in answer:
            stop_run(str(answer["run-id"]), superlink)
        raise KeyboardInterrupt
    if "run-id" not in answer:
        raise FederationError(
            f"Flower must accept the app at '{app}', but says: {answer.get('error-message', answer)}"
        )
    return str(answer["run-id"])


def status(run_id: str, superlink: str = "") -> dict[str, Any]:
    """What Flower says of a run: ``status``, ``status-details``, ``elapsed`` and more.

    A SuperLink that was restarted without its database knows no run; the status is then ``finished:unknown``.

    Raises:
        FederationError: If the SuperLink doesn't answer.
    """
    answer = _answer("ls", superlink, "--run-id", run_id, "--format", "json")
    if "runs" in answer:
        return dict(answer["runs"][0])
    said = str(answer.get("error-message", answer)).strip().splitlines()[-1]
    if _AWAY in said:
        raise FederationError(f"the SuperLink must answer, but doesn't: {said}")
    return {"status": "finished:unknown", "status-details": said}


class Watch:
    """Asks whether a run has ended, and bears with a SuperLink that is away for a while.

    Args:
        run_id: The run.
        superlink: As for `submit`.
        away_s: How long it may be away, restarting.
    """

    def __init__(self, run_id: str, superlink: str = "", away_s: float = AWAY_S) -> None:
        self._run_id, self._superlink, self._away_s = run_id, superlink, away_s
        self._answered = time.monotonic()

    def ended(self) -> dict[str, Any] | None:
        """Its `status` once it has ended; None while it runs, or there is no answer.

        Raises:
            FederationError: If the SuperLink doesn't come back.
        """
        try:
            seen = status(self._run_id, self._superlink)
        except FederationError:
            if time.monotonic() > self._answered + self._away_s:
                raise
            return None
        self._answered = time.monotonic()
        return seen if str(seen["status"]).startswith("finished") else None


def follow(
    run_id: str, superlink: str = "", hear: Callable[[str], object] = sys.stdout.write, away_s: float = AWAY_S
) -> dict[str, Any]:
    """Pass on a run's log until it ends, and return its `status`; an interrupt ends the run.

    Args:
        run_id: The run.
        superlink: As for `submit`.
        hear: Called with each line of the log, once.
        away_s: How long the SuperLink may be away, restarting.

    Raises:
        FederationError: If it doesn't come back.
    """
    heard, watch = 0, Watch(run_id, superlink, away_s)
    try:
        while True:
            heard += _pass_on_log(run_id, superlink, heard, hear)
            if seen := watch.ended():
                return seen
            # The log ended with the connection. Asking costs a second of CPU: ask seldom.
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        stop_run(run_id, superlink)
        raise


def _pass_on_log(run_id: str, superlink: str, skip: int, hear: Callable[[str], object]) -> int:
    """Pass on what is new in a run's log, which always comes from its beginning; returns the new lines."""
    count = 0
    with subprocess.Popen(
        _command("log", run_id, superlink, "--stream"),
        env={**_environment(), "PYTHONUNBUFFERED": "1"},
        cwd=_empty_folder(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # whether the connection broke is asked anyway
    ) as streaming:
        for count, line in enumerate(streaming.stdout or (), start=1):
            if count > skip:
                hear(line)
    return max(count - skip, 0)


def stop_run(run_id: str, superlink: str = "") -> None:
    """End a run; what it has checkpointed stays."""
    subprocess.run(_command("stop", run_id, superlink), env=_environment(), cwd=_empty_folder(), check=False)


def flwr(*words: str, home: Path) -> int:
    """Run a command of Flower, with what it says to the terminal.

    Args:
        words: The command and its arguments.
        home: ``FLWR_HOME``, whose ``config.toml`` has the connections.

    Returns:
        The exit code.
    """
    environment = {**_environment(), "FLWR_HOME": str(home)}
    return subprocess.run(_command(*words), env=environment, cwd=home, check=False).returncode


def stop_engine() -> list[int]:
    """End the local engine of this ``FLWR_HOME`` with its runs.

    Returns:
        The process ids that were ended; empty if none was running.
    """
    database = str(flower_home() / "local-superlink" / "state.db")
    ours = [process for process in _superlinks() if database in process.info["cmdline"]]
    family = [child for process in ours for child in [process, *process.children(recursive=True)]]
    for process in ours:
        process.terminate()
    _, alive = psutil.wait_procs(family, timeout=15)
    for process in alive:
        process.kill()
    return [process.pid for process in ours]


def _superlinks() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        if any("flower-superlink" in word for word in process.info["cmdline"] or ()):
            yield process


@contextmanager
def _held_back() -> Iterator[list[int]]:
    """Collect an interrupt instead of being interrupted, but not a second one.

    Threads other than the first never are interrupted.
    """
    came: list[int] = []
    before = {}

    def collect(number: int, frame: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, collect)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _answer(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        _command(*words),
        env=_environment(),
        cwd=_empty_folder(),
        text=True,
        capture_output=True,
        check=False,
        start_new_session=True,  # out of reach of a terminal's Ctrl-C, which is ours to answer
    )
    start = done.stdout.find("{")
    try:
        return dict(json.loads(done.stdout[start:]))
    except ValueError as error:
        raise FederationError(
            f"'flwr {words[0]}' must answer, but fails: {done.stdout}{done.stderr}"
        ) from error


def _command(*words: str) -> Sequence[str]:
    return [sys.executable, "-m", "flwr.cli.app", *(word for word in words if word)]


def _environment() -> dict[str, str]:
    programs = Path(sys.executable).parent  # flwr starts its other programs by PATH
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        # Otherwise Flower installs all requirements, gigabytes of them, again for each run.
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_DEDUP_LOGS": "0",
    }


def _empty_folder() -> Path:
    # The engine's workers put its working folder first on their path: in a checkout, they would run that.
    folder = flower_home() / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
