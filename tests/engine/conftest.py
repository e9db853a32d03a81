"""One local engine for all tests here, with a home, a port and a folder of runs of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest import mock

import psutil
import pytest

from fedvsr import engine
from server_app.checkpoints import LAST, load_round
from server_app.records.journal import read_journal
from server_app.records.run_dir import RunDir
from tests.network import missing

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("client_app", "conf", "fedvsr_core", "server_app")
LIMIT_S = 300  # of any wait; many times what it takes on a quiet machine
ASK_S, ASK_EARLY_S = 40, 10  # from one question to the engine to the next
TINY = "rounds=3 training.batch=2 data.frames=8 data.height=16 data.width=16 data.held_out_clips=6"
FOUR = "num-supernodes=4 client-resources-num-cpus=1 init-args-num-cpus=1"
COMPLETED = "finished:completed"
FAILED = "finished:failed"


class RunFolder:
    """What a run leaves below a root of its own, in which its directory is the only one."""

    def __init__(self, root):
        self.root = root

    @property
    def dir(self):
        """Its directory, once there is one."""
        return RunDir(next(self.root.iterdir(), self.root / "not-yet"))

    @property
    def done(self):
        """Rounds in its last checkpoint, -1 before there is one."""
        last = self.dir.checkpoints / LAST
        return load_round(last).round if last.exists() else -1

    def lines(self, phase=None):
        """The journal so far; empty before there is one."""
        lines = read_journal(self.dir.journal) if self.dir.journal.exists() else []
        return [line for line in lines if phase in (None, line["phase"])]

    def trained(self):
        """The journal's lines of training, by round; fails if a round is there twice."""
        lines = self.lines("train")
        by_round = {line["round"]: line for line in lines}
        assert len(by_round) == len(lines), [line["round"] for line in lines]
        return by_round

    def server_process(self):
        """The ServerApp's process."""
        return psutil.Process(int((self.dir.path / ".lock").read_text()))


class Run(RunFolder):
    """A submitted run."""

    def __init__(self, federation, run_id, root):
        super().__init__(root)
        self.federation = federation
        self.run_id = run_id
        self.ends_before = 0

    def server_lives(self):
        """Whether the ServerApp's process does; an ended one stays listed until its parent asks."""
        try:
            return self.server_process().status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def status(self):
        return self.federation.call(engine.status, self.run_id, self.federation.superlink)

    def wait_until(self, condition, what):
        """Poll a condition, and fail with the log if the run ends before or it takes too long."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end or self.ended():
                self.fail(f"waited for {what}, in vain")
            time.sleep(0.01)

    def finish(self, expected=COMPLETED, limit_s=LIMIT_S):
        """Wait for the end and check that it's the expected one; returns the run."""
        end = time.monotonic() + limit_s
        self._pause()
        while not (seen := self.status())["status"].startswith("finished"):
            if time.monotonic() > end:
                self.fail(f"the run didn't end in {limit_s} s")
            self._pause()
        if seen["status"] != expected:
            self.fail(f"the run must be {expected}, is {seen['status']} {seen.get('status-details')}")
        return self

    def ended(self):
        """Whether the server has written its last line."""
        return len(self.lines("end")) > self.ends_before

    def _pause(self):
        """Wait before asking the engine, which costs a second of CPU, while there is less to ask for."""
        begun = time.monotonic()
        while time.monotonic() - begun < (ASK_S if self.dir.path.exists() else ASK_EARLY_S):
            if self.ended() and not self.server_lives():
                return
            time.sleep(0.1)

    def kill_server(self, number=signal.SIGKILL):
        """End the server by a signal; returns when it's dead."""
        server = self.server_process()
        assert self.federation.owns(server), f"{server} isn't ours"
        server.suspend()  # so that it does nothing more while we look for what it has started
        started = server.children(recursive=True)
        server.send_signal(number)
        with suppress(psutil.NoSuchProcess):
            server.resume()  # SIGKILL doesn't wait for that, others do
        end = time.monotonic() + LIMIT_S
        while self.server_lives():
            assert time.monotonic() < end, f"{server} survives signal {number}"
            time.sleep(0.01)
        for process in started:  # some of Ray's stay behind for a while
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def fail(self, why):
        """Fail with all that the run said, and stop it if it goes on."""
        said = self.log()
        self.federation.call(engine.stop_run, self.run_id, self.federation.superlink)
        pytest.fail(f"{why}\n{said}")

    def log(self):
        """All that the run said."""
        shown = self.federation.flwr("log", self.run_id, self.federation.superlink, "--show")
        others = [f"--- {path}\n{path.read_text()}" for path in self.federation.root.glob("*/said.log")]
        return "\n".join([f"--- log of run {self.run_id}", shown, *others])

    def checkpoint(self, name=LAST):
        return (self.dir.checkpoints / name).read_bytes()


class Federation:
    """Submits runs to one engine and knows the processes that belong to it."""

    def __init__(self, root, superlink=""):
        self.root = root
        self.superlink = superlink
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.faults_file = root / "faults.json"
        self.environment = {
            "FLWR_HOME": str(self.home),
            "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(self.free_port()),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FEDVSR_RUNS": str(root / "runs"),
            "FEDVSR_TEST_FAULTS": str(self.faults_file),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": "",  # the engine must find the code as it does for a user
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self._count = 0
        self.faults({})

    def call(self, function, *args, **kwargs):
        """Call something that takes where the engine is from the environment."""
        with mock.patch.dict(os.environ, self.environment):
            return function(*args, **kwargs)

    def flwr(self, *words):
        done = subprocess.run(
            [sys.executable, "-m", "flwr.cli.app", *(word for word in words if word)],
            env={**os.environ, **self.environment},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stdout + done.stderr

    def submit(self, app, *, overrides=TINY, federation=FOUR, experiment="smoke", strategy="fedvsr"):
        """Submit a run."""
        self._count += 1
        root = self.root / "runs" / str(self._count)
        root.mkdir(parents=True)
        words = {"experiment": experiment, "strategy": strategy, "overrides": f"run.root={root} {overrides}"}
        run_config = " ".join(f"{key}={json.dumps(value)}" for key, value in words.items())
        run_id = self.call(
            engine.submit,
            app,
            run_config=run_config,
            federation_config=federation,
            superlink=self.superlink,
        )
        return Run(self, run_id, root)

    def resume(self, app, run, federation=FOUR):
        """Submit a run that continues another one."""
        again = self.submit(
            app, overrides=f"run.resume={run.dir.path}", federation=federation, experiment="", strategy=""
        )
        again.root.rmdir()
        again.root, again.ends_before = run.root, len(run.lines("end"))
        return again

    def faults(self, plan):
        """What clients of the faulty app do: round -> partition -> fault."""
        self.faults_file.with_name("let-go").unlink(missing_ok=True)
        self.faults_file.write_text(json.dumps(plan))

    def let_go(self):
        """End the hanging of clients."""
        self.faults_file.with_name("let-go").touch()

    def owns(self, process):
        """Whether a live process carries the mark of this federation in its environment."""
        try:
            return process.environ().get("FLWR_HOME", "").startswith(str(self.root))
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            return False

    def close(self):
        """End the engine, then whatever else of this federation is left."""
        self.let_go()
        self.call(engine.stop_engines)
        left = [process for process in psutil.process_iter() if self.owns(process)]
        for process in left:
            process.terminate()
        for process in psutil.wait_procs(left, timeout=15)[1]:
            process.kill()

    @staticmethod
    def free_port():
        """A port of this machine that nobody listens on."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]


def copy_app(folder):
    """The app as it stands now: nobody's edits change it while tests run."""
    folder.mkdir()
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


@pytest.fixture(scope="session")
def start_federation():
    """Make federations, and end all of them at the end of the session."""
    with ExitStack() as stack:

        def start(root, superlink=""):
            federation = Federation(root, superlink)
            stack.callback(federation.close)
            return federation

        yield start


@pytest.fixture(scope="session")
def federation(tmp_path_factory, start_federation):
    """The engine, which the first run starts."""
    return start_federation(tmp_path_factory.mktemp("engine").resolve())


@pytest.fixture(scope="session")
def hosts(tmp_path_factory, app):
    """A server and two sites as separate hosts; each test leaves them as they were."""
    from tests.engine.hosts import Hosts  # it builds on this module

    if reason := missing():
        pytest.skip(reason)
    hosts = Hosts(tmp_path_factory.mktemp("hosts").resolve(), app)
    try:
        yield hosts.start()
    finally:
        hosts.network.close()


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """A copy of the app."""
    return copy_app(tmp_path_factory.mktemp("app") / "fedvsr")


@pytest.fixture(scope="session")
def faulty_app(tmp_path_factory, app):
    """The app with clients that misbehave as `Federation.faults` says."""
    return with_client(app, tmp_path_factory.mktemp("faulty") / "fedvsr", "faulty_client")


@pytest.fixture(scope="session")
def light_app(tmp_path_factory, app):
    """The app with clients that wait a second for each step instead of training, and start in moments."""
    return with_client(app, tmp_path_factory.mktemp("light") / "fedvsr", "light_client")


def with_client(app, folder, client):
    """A copy of the app with one of the clients that lie beside this file."""
    shutil.copytree(app, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).parent / client, folder / client, ignore=ignored)
    project = folder / "pyproject.toml"
    text = project.read_text()
    changed = text.replace('"client_app.app:app"', f'"{client}.app:app"').replace(
        "fab-include = [", f'fab-include = ["{client}/**/*.py", '
    )
    assert changed.count(client) == 2
    project.write_text(changed)
    return folder


@pytest.fixture(scope="session")
def uninterrupted(federation, app):
    """Three rounds of the smoke experiment with four clients, the yardstick of several tests."""
    return federation.submit(app).finish()
