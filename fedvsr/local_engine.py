"""The local engines of a Flower home: found, compared with the caller's world, started and ended.

``flwr run`` starts an engine with the environment that the shell happens to have, finds it by its port alone,
whoever's it is, and nothing ever stops it. Here an engine belongs to a home and to a world: the Python and
the part of the environment that runs depend on. What an engine is can be read from its process, so that
nothing remembers it but its folder, which keeps the port for the next one.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import FederationError, StorageError
from fedvsr_core.flower.home import flower_home
from server_app.records.lock import locked

PORT = "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"
"""Variable by which Flower's own commands find an engine."""
USUAL_PORT = 39091
START_S = 180.0
"""How long a start may take, on a machine that is busy."""
_POLL_S = 0.1
_PROGRAM, _RUN = "flower-superlink", "flwr-simulation"
_FIRST = "local-superlink"
"""Flower's own name for the folder of a home's engine; others get a number."""
_COUNTS = (
    "FEDVSR_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "RAY_", "TORCH", "PYTORCH_", "HF_",
    "XDG_CACHE_", "PYTHON", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
)  # fmt: skip
"""How variables begin that runs depend on, in capitals: run root, GPUs, threads, places of weights, code."""
_OURS = {
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",  # else gigabytes of requirements again for each run
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_DEDUP_LOGS": "0",
    "PYTHONUTF8": "1",  # in whatever locale: names of files are UTF-8
}


class EngineTimeoutError(FederationError):
    """An engine that doesn't answer in time."""


def environment() -> dict[str, str]:
    """What Flower's programs are started with: the caller's world, and what makes them fit for it."""
    programs = Path(sys.executable).parent  # flwr starts its other programs by PATH
    loopback = "127.0.0.1,localhost,::1"  # whatever proxies there are: the engine is on this machine
    direct = {
        name: ",".join(filter(None, [os.environ.get(name), loopback])) for name in ("NO_PROXY", "no_proxy")
    }
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **_OURS, **direct, "PATH": path}


def flwr_command(*words: str) -> list[str]:
    """A command of Flower, without its empty words."""
    return [sys.executable, "-m", "flwr.cli.app", *(word for word in words if word)]


def world(variables: Mapping[str, str]) -> dict[str, str]:
    """What runs depend on, of an environment in which Flower's programs were started."""
    python = variables.get("PATH", "").partition(os.pathsep)[0]
    counted = {name: value for name, value in variables.items() if name.upper().startswith(_COUNTS)}
    return {"Python": python, **counted}


@dataclass(frozen=True)
class LocalEngine:
    """A living engine.

    Attributes:
        process: Its SuperLink.
        folder: Where its database and its log are.
        port: Where it listens on 127.0.0.1.
        world: What it was started with.
    """

    process: psutil.Process
    folder: Path
    port: int
    world: Mapping[str, str]

    def family(self) -> list[psutil.Process]:
        """It and all that it has started."""
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def runs(self) -> list[psutil.Process]:
        """The processes of the runs in it."""
        return [process for process in self.family() if _runs(_RUN, _command_of(process))]

    def unfinished(self) -> list[str]:
        """The ids of the runs that it hasn't finished, also those that are yet to start.

        Raises:
            FederationError: If it doesn't answer.
        """
        done = subprocess.run(
            flwr_command("ls", "--format", "json"),
            env={**environment(), PORT: str(self.port)},
            cwd=flower_home() / "empty",
            capture_output=True,
            check=False,
        )
        try:
            listed = json.loads(done.stdout[done.stdout.find(b"{") :])["runs"]
        except (ValueError, KeyError) as error:
            raise FederationError(
                f"the engine on port {self.port} (process {self.process.pid}) must answer, but doesn't;"
                " 'fedvsr stop' ends it"
            ) from error
        return [str(run["run-id"]) for run in listed if not str(run["status"]).startswith("finished")]

    def stop(self, *, at_once: bool = False) -> None:
        """End it with its runs.

        Args:
            at_once: Without giving it time to end by itself.
        """
        for run in self.runs():  # its checkpoints are whole at any moment
            _end(run, at_once=True)
        _end(self.process, at_once=at_once)

    def stop_one(self, server: int) -> None:
        """End the run of one server process, and what that has started.

        Args:
            server: Its process id.
        """
        for run in self.runs():
            if run.pid == server:
                _end(run, at_once=True)


def _end(process: psutil.Process, *, at_once: bool) -> None:
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        if not at_once:
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=0 if at_once else 10)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(alive, timeout=10)


def living() -> list[LocalEngine]:
    """The engines of this ``FLWR_HOME``."""
    home = str(flower_home().absolute())
    engines = []
    for process in psutil.process_iter():
        words = _command_of(process)
        if not _runs(_PROGRAM, words) or "--simulation" not in words:
            continue
        log = Path(_after(words, "--log-file"))
        with suppress(psutil.Error, ValueError):
            if str(log.parent.parent) == home:
                variables = process.environ()
                engines.append(
                    LocalEngine(process, log.parent, int(_after(words, "--port")), world(variables))
                )
    return engines


def of_process(pid: int) -> LocalEngine | None:
    """The engine of this home that a process belongs to."""
    return next((engine for engine in living() if pid in [one.pid for one in engine.family()]), None)


@contextmanager
def engine(tell: Callable[[str], object]) -> Iterator[LocalEngine]:
    """The engine of the caller's home and world; no other command ends it while the block runs.

    Args:
        tell: Hears what was done about engines of another world, and where one was started.

    Raises:
        FederationError: If it doesn't start, or its port is taken.
        StorageError: If its home can't be written to.
    """
    home = flower_home()
    try:
        (home / _FIRST).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Flower keeps its state in '{home}', which can't be made ({error.strerror}); set FLWR_HOME to a"
            " folder that you may write to",
            error.errno,
        ) from error
    if os.pathsep in str(home):
        raise FederationError(
            f"the path of FLWR_HOME must be without '{os.pathsep}', got '{home}'; choose another"
        )
    with locked(home / _FIRST, wait_s=START_S):
        yield found() or _started(home, tell)


def found() -> LocalEngine | None:
    """The living engine of the caller's home and world, if there is one."""
    ours = world(environment())
    return next((engine for engine in living() if engine.world == ours), None)


def _started(home: Path, tell: Callable[[str], object]) -> LocalEngine:
    ours, others = world(environment()), living()
    for other in others:
        what = ", ".join(differing(other.world, ours))
        if other.unfinished():
            tell(f"the engine on port {other.port} is busy, and has other {what}: another one starts")
        else:
            tell(f"the engine on port {other.port} has other {what}: it is restarted")
            other.stop()
    busy = [other.folder for other in others if other.process.is_running()]
    names = [_FIRST, *(f"{_FIRST}-{number}" for number in range(2, len(busy) + 3))]
    folder = next(home / name for name in names if home / name not in busy)
    folder.mkdir(exist_ok=True)
    port = _port_for(folder)
    tell(f"starting an engine on port {port}; 'fedvsr stop' ends it")
    try:
        return _start(folder, port, ours)
    except EngineTimeoutError as error:
        tell(f"{error}; tried once more now")
        return _start(folder, port, ours)


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Names of what differs between two worlds."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _start(folder: Path, port: int, ours: Mapping[str, str]) -> LocalEngine:
    log = folder / "superlink.log"
    program = shutil.which(_PROGRAM, path=environment()["PATH"])
    if program is None:
        raise FederationError(
            f"'{_PROGRAM}' must be beside '{sys.executable}'; pip install 'flwr[simulation]'"
        )
    words = [
        program, "--insecure", "--simulation", "--isolation", "subprocess", "--host", "127.0.0.1", "--port",
        str(port), "--log-file", str(log), "--log-rotation-interval-hours", "24",
        "--log-rotation-backup-count", "7", "--database", str(folder / "state.db"),
    ]  # fmt: skip
    empty = flower_home() / "empty"  # its workers put its working folder first on their path
    empty.mkdir(exist_ok=True)
    said = folder / "start.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            words,
            env=environment(),
            cwd=empty,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + START_S
    try:
        while not _answers(port):
            if process.poll() is not None:
                last = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
                raise FederationError(
                    f"the engine must start, but ended with status {process.returncode}:"
                    f" {last[-1].strip() if last else 'without a word'}; '{said}' has more"
                )
            if time.monotonic() > end:
                raise EngineTimeoutError(
                    f"the engine must answer on port {port} within {START_S:.0f} s, but doesn't; the machine"
                    f" may be too busy, '{log}' has more"
                )
            time.sleep(_POLL_S)
    except BaseException:
        process.kill()
        raise
    write_atomically(folder / "port", str(port).encode())
    return LocalEngine(psutil.Process(process.pid), folder, port, ours)


def next_port() -> int:
    """The port that an engine would be started on.

    Raises:
        FederationError: If the one that the environment names is none, or is taken.
    """
    return _port_for(flower_home() / _FIRST)


def _port_for(folder: Path) -> int:
    """The port that the caller names, else that of a folder's last engine, the usual one, any free one."""
    if named := os.environ.get(PORT):
        if not named.isdecimal() or not 0 < int(named) < 65536:
            raise FederationError(f"{PORT} must be a port, from 1 to 65535, got '{named}'")
        if _is_free(int(named)):
            return int(named)
        if folder.name == _FIRST:
            raise FederationError(
                f"port {named}, which {PORT} names, is taken by another program; unset the variable, and a"
                " free one is chosen"
            )
    else:
        with suppress(OSError, ValueError):
            if _is_free(port := int((folder / "port").read_text())):
                return port
        if folder.name == _FIRST and _is_free(USUAL_PORT):
            return USUAL_PORT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _runs(program: str, words: list[str]) -> bool:
    """Whether a command line starts a program, by itself or by an interpreter."""
    return any(Path(word).name == program for word in words[:2])


def _after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""
