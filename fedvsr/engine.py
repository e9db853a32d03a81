"""A run in Flower, from submitting it to its real outcome.

``flwr run --stream`` returns 0 even when the run failed, and leaves it going when it is ended itself; here
both are put right. `fedvsr.local_engine` has the engines of this machine.
"""

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedvsr import local_engine
from fedvsr.endings import Ended, held_back
from fedvsr.local_engine import PORT, flwr_command
from fedvsr_core.errors import FederationError
from fedvsr_core.flower.home import flower_home

AWAY_S = 600.0
"""How long a SuperLink may be away, restarting."""
LOCAL = (":local:", ":local-in-memory:")
"""Addresses in Flower's ``config.toml`` that mean an engine on this machine."""
_POLL_S = 5.0
_AWAY = "Connection to the SuperLink is unavailable"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _nobody(text: str) -> None:
    """Hear nothing."""


def submit(
    app: Path,
    *,
    run_config: str = "",
    federation_config: str = "",
    superlink: str = "",
    tell: Callable[[str], object] = _nobody,
) -> str:
    """Submit an app.

    Args:
        app: Folder with the app's ``pyproject.toml``.
        run_config: As for ``flwr run --run-config``.
        federation_config: As for ``flwr run --federation-config``, such as ``num-supernodes=4``.
        superlink: Name of a connection in Flower's ``config.toml``; empty for the default one.
        tell: Hears what is done about the engine of this machine.

    Returns:
        The run's id.

    Raises:
        Ended: If a signal came meanwhile; it names the run, which may already have begun.
        FederationError: If the engine doesn't take the app.
    """
    options = [("--run-config", run_config), ("--federation-config", federation_config)]
    words = ["run", str(app.resolve()), superlink, "--format", "json"]
    with _served(superlink, tell) as environment, held_back() as signals:
        given = [word for option in options if option[1] for word in option]
        answer = _asked(environment, *words, *given)
    if signals:
        raise Ended(signals[0], str(answer.get("run-id", "")))
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
    answer = _answer(superlink, "ls", superlink, "--run-id", run_id, "--format", "json")
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
    """Pass on a run's log until it ends, and return its `status`.

    Args:
        run_id: The run.
        superlink: As for `submit`.
        hear: Called with each line of the log, once, without the codes of colours.
        away_s: How long the SuperLink may be away, restarting.

    Raises:
        FederationError: If it doesn't come back.
    """
    heard, watch = 0, Watch(run_id, superlink, away_s)
    while True:
        heard += _pass_on_log(run_id, superlink, heard, hear)
        if seen := watch.ended():
            return seen
        # The log ended with the connection. Asking costs a second of CPU: ask seldom.
        time.sleep(_POLL_S)


def _pass_on_log(run_id: str, superlink: str, skip: int, hear: Callable[[str], object]) -> int:
    """Pass on what is new in a run's log, which always comes from its beginning; returns the new lines."""
    count = 0
    with (
        _served(superlink) as environment,
        subprocess.Popen(
            flwr_command("log", run_id, superlink, "--stream"),
            env={**environment, "PYTHONUNBUFFERED": "1"},
            cwd=_empty_folder(),
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # whether the connection broke is asked anyway
            start_new_session=True,
        ) as streaming,
    ):
        try:
            for count, line in enumerate(streaming.stdout or (), start=1):
                if count > skip:
                    hear(_COLOUR.sub("", line))
        except BaseException:
            streaming.kill()
            raise
    return max(count - skip, 0)


def stop_run(run_id: str, superlink: str = "") -> None:
    """Tell Flower that a run is to end; what it has checkpointed stays."""
    _answer(superlink, "stop", run_id, superlink, "--format", "json")


def end_run(run_id: str, superlink: str = "", server: int | None = None, *, at_once: bool = False) -> None:
    """End a run, and see that nothing of it is left on this machine.

    An engine of this machine that has no other run ends with it.

    Args:
        run_id: The run.
        superlink: As for `submit`.
        server: Process that writes its run directory, if there is one.
        at_once: Whether to give nothing time to end by itself.
    """
    local = is_local(superlink)
    engine = (server and local_engine.of_process(server)) or (local_engine.found() if local else None)
    if not at_once and (engine or not local):
        stop_run(run_id, superlink)
    if engine is None:
        return
    if len(engine.runs()) < 2 and (at_once or not engine.unfinished()):
        engine.stop(at_once=at_once)
    elif server is not None:
        engine.stop_one(server)


def is_local(superlink: str = "") -> bool:
    """Whether a connection of Flower's ``config.toml`` is to an engine on this machine."""
    try:
        connections = tomllib.loads((flower_home() / "config.toml").read_text(encoding="utf-8"))["superlink"]
    except (OSError, ValueError, KeyError):
        return superlink in ("", "local")
    named = connections.get(superlink or connections.get("default", "local"), {})
    return isinstance(named, dict) and named.get("address", LOCAL[0] if "options" in named else "") in LOCAL


def flwr(*words: str, home: Path) -> int:
    """Run a command of Flower, with what it says to the terminal.

    Args:
        words: The command and its arguments.
        home: ``FLWR_HOME``, whose ``config.toml`` has the connections.

    Returns:
        The exit code.
    """
    environment = {**local_engine.environment(), "FLWR_HOME": str(home)}
    return subprocess.run(flwr_command(*words), env=environment, cwd=home, check=False).returncode


def stop_engines() -> list[int]:
    """End the local engines of this ``FLWR_HOME`` with their runs.

    Returns:
        The process ids that were ended; empty if none was running.
    """
    engines = local_engine.living()
    for engine in engines:
        engine.stop()
    return [engine.process.pid for engine in engines]


@contextmanager
def _served(superlink: str, tell: Callable[[str], object] | None = None) -> Iterator[dict[str, str]]:
    """The environment in which Flower's commands find a connection, and the local engine if it is one.

    Args:
        superlink: As for `submit`.
        tell: As for `local_engine.engine`; None where a living engine needn't be kept from ending.
    """
    environment = local_engine.environment()
    if not is_local(superlink):
        yield environment
    elif tell is None and (engine := local_engine.found()):
        yield {**environment, PORT: str(engine.port)}
    else:
        with local_engine.engine(tell or _nobody) as engine:
            yield {**environment, PORT: str(engine.port)}


def _answer(superlink: str, *words: str) -> dict[str, Any]:
    with _served(superlink) as environment:
        return _asked(environment, *words)


def _asked(environment: dict[str, str], *words: str) -> dict[str, Any]:
    done = subprocess.run(
        flwr_command(*words),
        env=environment,
        cwd=_empty_folder(),
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,  # out of reach of a terminal's Ctrl-C, which is ours to answer
    )
    start = done.stdout.find("{")
    try:
        return dict(json.loads(done.stdout[start:]))
    except ValueError as error:
        raise FederationError(
            f"'flwr {words[0]}' must answer, but fails: {_COLOUR.sub('', done.stdout + done.stderr)}"
        ) from error


def _empty_folder() -> Path:
    # The engine's workers put its working folder first on their path: in a checkout, they would run that.
    folder = flower_home() / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
