"""A federation of separate machines as `fedvsr deploy` sets it up, each process kept as systemd keeps it."""

import json
import shlex
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

import psutil
import pytest

from server_app.checkpoints import LAST, load_round
from tests.engine.conftest import RunFolder
from tests.network import Network
from tests.videos import write_videos

LIMIT_S = 1800
LIGHT = "rounds=3 training.steps=8 data.frames=8 data.height=16 data.width=16"
SMALL = "rounds=3 training.steps=15 training.batch=1 data.frames=8 data.height=16 data.width=16"


class Hosts:
    """A server and sites, up and running.

    Attributes:
        server: The server's machine.
        sites: The other machines, by name.
    """

    def __init__(self, root, app, sites=("north", "south")):
        self.app = app
        self.network = Network(root, ("server", *sites), {})
        self.server = self.network["server"]
        self.sites = {name: self.network[name] for name in sites}
        self._count = 0

    def start(self):
        """Bring everything up, in the order of the recipe."""
        self.server.run("fedvsr deploy server /srv --host server")
        for name in ("superlink", "superexec", "proxy"):
            self.server.keep(f"fedvsr deploy start /srv {name}", name)
        self.server.wait_for("Application startup complete", "superlink")
        for number, (name, site) in enumerate(self.sites.items()):
            write_videos(site.srv / "videos", [8 + 2 * number] * 2, seed=number)
            shutil.copy(self.server.srv / "ca.crt", site.srv)
            site.run(
                f"fedvsr deploy site /srv --name {name} --data-dir /srv/videos --server server:9092"
                " --ca /srv/ca.crt"
            )
            site.run("sed -i -E 's/^(least-[a-z]+) = [0-9]+/\\1 = 1/' /srv/site.toml")  # runs here are tiny
            shutil.copy(site.srv / f"{name}.pub", self.server.srv)
            self.server.run(f"fedvsr deploy register /srv {name}.pub")
            self.keep_site(name)
        return self

    def keep_site(self, name):
        """Start a site's SuperNode, and again whenever it ends."""
        self.sites[name].keep("fedvsr deploy start /srv", "supernode")

    def run(self, overrides=SMALL, strategy="fedvsr", resumes=0, app=None):
        """Start ``fedvsr run`` on the server, of an app other than the real one if it is given."""
        self._count += 1
        root = self.server.srv / "runs" / str(self._count)
        root.mkdir(parents=True)
        choices = {
            "experiment": "smoke",
            "strategy": strategy,
            "overrides": f"run.root=/srv/runs/{self._count} {overrides}",
        }
        run_config = shlex.quote(" ".join(f"{key}={json.dumps(value)}" for key, value in choices.items()))
        self.server.start(
            f"fedvsr run {app or self.app} federation --run-config {run_config} --resumes {resumes}",
            root.name,
            env={"FLWR_HOME": "/srv/home"},
        )
        return HostsRun(self, root)


class HostsRun(RunFolder):
    """``fedvsr run`` on the server, and what it leaves."""

    def __init__(self, hosts, root):
        super().__init__(root)
        self.hosts = hosts
        self._process = hosts.server.started[root.name]

    @property
    def said(self):
        """What ``fedvsr run`` has shown."""
        return self.hosts.server.said(self.root.name)

    def middle_of(self, server_round, site="south"):
        """Wait until a site trains in a round."""
        before = server_round - 1
        wait(lambda: self.done >= before, f"the end of round {before}", self)
        wait(lambda: client_process(self.hosts.sites[site]), f"{site} to train", self)
        time.sleep(3)  # its process starts

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
        """Fail with what the run and the sites have said, and end the run."""
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        said = [site.said("supernode")[-3000:] for site in self.hosts.sites.values()]
        pytest.fail("\n".join([why, self.said[-6000:], *said]))


def client_process(site):
    """The process that trains on a site, or None."""
    for process in psutil.Process(site.started["supernode"].pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(word.endswith("flwr-clientapp") for word in process.cmdline()):
                return process
    return None


def refused(line):
    """Who was left out of a round, and why."""
    return {refusal["client"]: refusal["code"] for refusal in line["refused"]}


def wait(condition, what, run, limit_s=LIMIT_S):
    """Poll a condition, and fail with all that was said if the run ends before or it takes too long."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end or run.ended():
            run.fail(f"waited for {what}, in vain")
        time.sleep(0.1)


@contextmanager
def slowed(site, factor):
    """Let whatever trains on a site run for a small part of the time only."""
    over = threading.Event()

    def throttle():
        while not over.is_set():
            process = client_process(site)
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
