"""A federation of separate hosts as `fedvsr deploy` sets it up: network namespaces, or loopback without root.

Each host has its own network, joined by a switch, and its own folder. The server's runs the SuperLink, the
SuperExec and nginx; a site's runs a SuperNode. Like systemd by the units, a keeper starts again what ends.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import psutil

from fedvsr_core.data.synthetic import Synthetic
from server_app.checkpoints import LAST, load_round
from server_app.records.journal import read_journal
from server_app.records.run_dir import RunDir
from tests.engine.conftest import Federation

LIMIT_S = 1800
RESTART_S = 5  # as in the units
PROGRAM = Path(sys.executable).parent
KEEPER = 'while :; do "$@"; sleep $RESTART_S; done'
LIGHT = "rounds=3 training.steps=8 data.frames=8 data.height=16 data.width=16"
SMALL = "rounds=3 training.steps=15 training.batch=1 data.frames=8 data.height=16 data.width=16"


def namespaces_work():
    """Whether this process may make networks of its own."""
    if os.geteuid() or shutil.which("ip") is None:
        return False
    name = f"fedvsr{os.getpid()}p"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    subprocess.run(["ip", "netns", "del", name], check=True)
    return True


class Switch:
    """Joins hosts; without namespaces there is one loopback for all."""

    def __init__(self):
        self.real = namespaces_work()
        self.name = f"fedvsr{os.getpid()}"
        self._hosts = []
        if self.real:
            ip("netns", "add", self.name)
            ip("-n", self.name, "link", "add", "bridge", "type", "bridge")
            ip("-n", self.name, "link", "set", "bridge", "up")

    def join(self, name):
        """A namespace and an address for a host; no namespace where there are none."""
        if not self.real:
            return None, "127.0.0.1"
        namespace, address = f"{self.name}-{name}", f"10.77.0.{len(self._hosts) + 1}"
        self._hosts.append(namespace)
        ip("netns", "add", namespace)
        ip(
            "link",
            "add",
            "eth0",
            "netns",
            namespace,
            "type",
            "veth",
            "peer",
            "name",
            name,
            "netns",
            self.name,
        )
        ip("-n", self.name, "link", "set", name, "master", "bridge", "up")
        ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", namespace, "link", "set", device, "up")
        return namespace, address

    def plug(self, name, state):
        """Pull a host's plug (``down``), or put it in (``up``)."""
        ip("-n", self.name, "link", "set", name, state)

    def close(self):
        for namespace in [*self._hosts, self.name] if self.real else ():
            ip("netns", "del", namespace)


class Host:
    """One machine of the federation."""

    def __init__(self, switch, name, root):
        self.switch = switch
        self.name = name
        self.folder = root / name
        self.folder.mkdir(parents=True)
        self.namespace, self.address = switch.join(name)
        self.keepers = {}
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("FLWR_", "FEDVSR_"))},
            "PATH": f"{PROGRAM}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin",
            "PYTHONPATH": "",
            "OMP_NUM_THREADS": "1",
            "RESTART_S": str(RESTART_S),
            "FEDVSR_TEST_HOST": str(self.folder),
        }

    def words(self, *words):
        return [*(("ip", "netns", "exec", self.namespace) if self.namespace else ()), *map(str, words)]

    def call(self, *words):
        """Run a command of ``fedvsr`` here, to its end."""
        done = subprocess.run(
            self.words(PROGRAM / "fedvsr", *words),
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def keep(self, name, *words):
        """Start a process, and again whenever it ends."""
        with (self.folder / f"{name}.log").open("ab") as said:
            self.keepers[name] = subprocess.Popen(
                self.words("sh", "-c", KEEPER, "keeper", PROGRAM / "fedvsr", "deploy", "start", *words),
                env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    def said(self, name):
        """What a kept process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def process(self, name):
        """The process that is kept by a name, without its keeper; None while there is none."""
        kept = [
            child for child in psutil.Process(self.keepers[name].pid).children() if child.name() != "sleep"
        ]
        return kept[0] if kept else None

    def stop(self, name, how=signal.SIGTERM):
        """End a process for good; its keeper goes first."""
        wait(
            lambda: self.process(name), f"{name} of {self.name}"
        )  # what a keeper is starting would survive it
        process, keeper = self.process(name), self.keepers.pop(name)
        keeper.kill()
        keeper.wait()
        process.send_signal(how)
        psutil.wait_procs([process], timeout=60)

    def clientapp(self):
        """The process that trains, or None."""
        for process in psutil.Process(self.keepers["supernode"].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(word.endswith("flwr-clientapp") for word in process.cmdline()):
                    return process
        return None

    def close(self):
        """End the keepers, then whatever else carries this host's mark."""
        kept = [child for one in self.keepers.values() for child in psutil.Process(one.pid).children(True)]
        for keeper in self.keepers.values():
            keeper.kill()
        left = [*kept, *(process for process in psutil.process_iter() if self._owns(process))]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=15)

    def _owns(self, process):
        try:
            return process.environ().get("FEDVSR_TEST_HOST") == str(self.folder)
        except psutil.Error:
            return False


class Hosts:
    """A server and sites, up and running.

    Attributes:
        server: The host of the server.
        sites: The other hosts, by name.
    """

    def __init__(self, root, app, sites=("north", "south"), steady=True):
        self.app = app
        self.switch = Switch()
        self.server = Host(self.switch, "server", root)
        self.sites = {name: Host(self.switch, name, root) for name in sites}
        self.port, self.superlink_port = Federation.free_port(), Federation.free_port()
        self.runs = self.server.folder / "runs"
        self._count = 0

    def start(self):
        """Bring everything up, in the order of the recipe."""
        folder = self.server.folder
        self.server.call(
            "deploy", "server", folder, "--host", self.server.address,
            "--port", self.port, "--superlink-port", self.superlink_port,
        )  # fmt: skip
        for name in ("superlink", "superexec", "proxy"):
            self.server.keep(name, folder, name)
        for number, (name, site) in enumerate(self.sites.items()):
            write_videos(site.folder / "videos", frames=8 + 2 * number, seed=number)
            site.call(
                "deploy", "site", site.folder, "--name", name, "--data-dir", site.folder / "videos",
                "--server", f"{self.server.address}:{self.port}", "--ca", folder / "ca.crt",
            )  # fmt: skip
            text = (site.folder / "site.toml").read_text()
            port = Federation.free_port()
            assert "port = 9094" in text
            (site.folder / "site.toml").write_text(text.replace("port = 9094", f"port = {port}"))
        wait(lambda: listens(self.server, self.superlink_port), "the SuperLink")
        for name, site in self.sites.items():
            self.server.call("deploy", "register", folder, site.folder / f"{name}.pub")
            site.keep("supernode", site.folder)
        return self

    def run(self, overrides=SMALL, strategy="fedvsr", resumes=0, app=None):
        """Start ``fedvsr run`` on the server, of an app other than the real one if it is given."""
        self._count += 1
        root = self.runs / str(self._count)
        root.mkdir(parents=True)
        choices = {"experiment": "smoke", "strategy": strategy, "overrides": f"run.root={root} {overrides}"}
        run_config = " ".join(f"{key}={json.dumps(value)}" for key, value in choices.items())
        words = ("run", app or self.app, "federation", "--run-config", run_config, "--resumes", resumes)
        with (root.with_suffix(".log")).open("wb") as said:
            process = subprocess.Popen(
                self.server.words(PROGRAM / "fedvsr", *words),
                env={**self.server.environment, "FLWR_HOME": str(self.server.folder / "home")},
                cwd=self.server.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        return HostsRun(self, process, root)

    def close(self):
        for host in (self.server, *self.sites.values()):
            host.close()
        self.switch.close()


class HostsRun:
    """``fedvsr run`` on the server, and what it leaves."""

    def __init__(self, hosts, process, root):
        self.hosts = hosts
        self.root = root
        self._process = process

    @property
    def dir(self):
        return RunDir(next(self.root.iterdir(), self.root / "not-yet"))

    @property
    def said(self):
        """What ``fedvsr run`` has shown."""
        return self.root.with_suffix(".log").read_text(errors="replace")

    def lines(self, phase=None):
        lines = read_journal(self.dir.journal) if self.dir.journal.exists() else []
        return [line for line in lines if phase in (None, line["phase"])]

    def trained(self):
        """The journal's lines of training, by round."""
        by_round = {line["round"]: line for line in self.lines("train")}
        assert len(by_round) == len(self.lines("train"))
        return by_round

    def middle_of(self, server_round, site="south"):
        """Wait until a site trains in a round."""
        before = server_round - 1
        wait(lambda: self.done() >= before, f"the end of round {before}", self)
        wait(lambda: self.hosts.sites[site].clientapp(), f"{site} to train", self)
        time.sleep(3)  # its process starts

    def done(self):
        last = self.dir.checkpoints / LAST
        return load_round(last).round if last.exists() else -1

    def server_process(self):
        """The ServerApp."""
        return psutil.Process(int((self.dir.path / ".lock").read_text()))

    def finish(self, limit_s=LIMIT_S):
        """Wait for the end, a completed run with a finite model; returns its lines of training."""
        try:
            code = self._process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            self.fail(f"the run didn't end in {limit_s} s")
        if code:
            self.fail(f"fedvsr run ended with {code}")
        assert self.lines("end")[-1]["outcome"] == "completed"
        checkpoint = load_round(self.dir.checkpoints / LAST)
        assert all(tensor.isfinite().all() for tensor in checkpoint.state.values())
        trained = self.trained()
        assert sorted(trained) == list(range(1, checkpoint.round + 1))
        return trained

    def ended(self):
        return self._process.poll() is not None

    def fail(self, why):
        self._process.send_signal(signal.SIGINT)  # upon which it ends the run, too
        self._process.wait(60)
        said = {name: site.said("supernode")[-3000:] for name, site in self.hosts.sites.items()}
        raise AssertionError("\n".join([why, self.said[-6000:], *map(str, said.items())]))


def refused(line):
    """Who was left out of a round, and why."""
    return {one["client"]: one["code"] for one in line["refused"]}


def wait(condition, what, run=None, limit_s=LIMIT_S):
    """Poll a condition."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end or (run and run.ended()):
            why = f"waited for {what}, in vain"
            run.fail(why) if run else pytest_fail(why)
        time.sleep(0.1)


def pytest_fail(why):
    raise AssertionError(why)


@contextmanager
def slowed(host, factor):
    """Let whatever trains on a host run for a small part of the time only."""
    over = threading.Event()

    def throttle():
        while not over.is_set():
            process = host.clientapp()
            with suppress(psutil.NoSuchProcess, AttributeError):
                process.send_signal(signal.SIGSTOP)
                over.wait(0.1 * (factor - 1))
                process.send_signal(signal.SIGCONT)
            over.wait(0.1)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def listens(host, port):
    """Whether somebody listens on a host's loopback."""
    script = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=1)"
    words = host.words(sys.executable, "-S", "-c", script)
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def write_videos(folder, frames, seed):
    """Two short videos."""
    folder.mkdir(parents=True)
    for number in range(2):
        source = Synthetic(
            scale=4, clips=1, held_out_clips=0, frames=frames, height=16, width=20, seed=10 * seed + number
        )
        writer = cv2.VideoWriter(str(folder / f"{number}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (80, 64))
        for frame in source.train()[0].clip().high:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
