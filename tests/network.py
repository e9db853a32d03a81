"""Separate machines: network namespaces on a bridge, each with a /srv and an /etc/hosts of its own.

Everything is in the namespaces and below one folder, and goes with `Network.close`; nothing of this machine
changes.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

SWITCH = "switch"
PREFIX = "10.99.0"  # exists in the namespaces only
WAIT_S = 900  # many times what anything takes on a quiet machine
RESTART_S = 5  # as in the units

_ENTER = 'mount --rbind "$1/srv" /srv && mount --bind "$1/hosts" /etc/hosts && cd /srv && shift && exec "$@"'
# From one machine to another a file goes by scp; here the folders of all machines lie side by side.
_SCP = """#!/usr/bin/env bash
here() { case "$1" in *:*) echo "@root@/${1%%:*}${1#*:}" ;; *) echo "$1" ;; esac; }
exec cp "$(here "$1")" "$(here "$2")"
"""


def missing():
    """Why there can be no machines here; empty if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "unshare", "mount", "nginx"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"needs the program '{program}' (apt-get install iproute2 util-linux nginx-light)"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "namespaces are not allowed here"


class Host:
    """One machine; what is started on it has its network, its /srv and its /etc/hosts."""

    def __init__(self, network, name, address):
        self.network = network
        self.name = name
        self.address = address
        self.namespace = f"{network.prefix}{name}"
        self.root = network.root / name
        self.srv = self.root / "srv"
        self.srv.mkdir(parents=True)
        self.started = {}

    def run(self, script, *, check=True, timeout=WAIT_S, env=None):
        """Run a script of bash to its end, or kill it; returns its exit code and all that it said."""
        with tempfile.TemporaryFile("w+") as said:  # no pipe, which an orphan could keep open
            process = self._popen(script, said, env)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            said.seek(0)
            text = said.read()
        if check and code:
            pytest.fail(f"on {self.name}: {script}\nreturned {code}: {text}")
        return code, text

    def start(self, command, name, env=None):
        """Start a command that goes on; what it says is in `said`."""
        with self._log(name).open("ab") as said:
            self.started[name] = self._popen(f"exec {command}", said, env)
        return self.started[name]

    def keep(self, command, name):
        """Start a command, and again whenever it ends, as systemd does by the units."""
        with self._log(name).open("ab") as said:
            loop = f"while :; do {command} || true; sleep {RESTART_S}; done"
            self.started[name] = self._popen(loop, said)

    def kept(self, name):
        """The process of a command that is kept, or None while there is none."""
        children = psutil.Process(self.started[name].pid).children()
        return next((child for child in children if child.name() != "sleep"), None)

    def stop(self, name, how=signal.SIGTERM):
        """End a command that is kept, for good."""
        while (process := self.kept(name)) is None:  # what is being started would survive
            time.sleep(0.1)
        self.kill(name, signal.SIGKILL)
        process.send_signal(how)
        psutil.wait_procs([process], timeout=60)

    def said(self, name):
        """What something that was started has said so far."""
        return self._log(name).read_text(errors="replace")

    def wait_for(self, words, name):
        """Wait until something that was started says this."""
        end = time.monotonic() + WAIT_S
        while words not in self.said(name):
            ended = self.started[name].poll() is not None
            if ended or time.monotonic() > end:
                pytest.fail(f"{name} on {self.name} must say '{words}', but said: {self.said(name)}")
            time.sleep(0.2)

    def kill(self, name, how=signal.SIGTERM):
        """End something that was started, and wait until it has."""
        process = self.started.pop(name)
        process.send_signal(how)
        process.wait(WAIT_S)

    def _log(self, name):
        return self.root / f"{name}.log"

    def _popen(self, script, said, env=None):
        inside = ("unshare", "--mount", "--propagation", "private", "bash", "-c", _ENTER, "enter")
        return subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *inside, str(self.root), "bash", "-euc", script],
            env=self._environment(env),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )

    def _environment(self, more):
        programs = f"{self.network.root}/bin:{Path(sys.executable).parent}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("FLWR_", "FEDVSR_"))}
        return {
            **kept,
            "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": "",  # the code must be found as it is for a user
            "FEDVSR_TEST_NETWORK": str(self.network.root),
            **(more or {}),
        }


class Network:
    """Machines that reach each other, and nobody else.

    Args:
        root: A folder for all that they write.
        names: The machines.
        aliases: Further names of a machine, which all of them know.
    """

    def __init__(self, root, names, aliases):
        self.root = root
        self.prefix = f"fedvsr{os.getpid()}"
        programs = root / "bin"
        programs.mkdir(parents=True)
        (programs / "scp").write_text(_SCP.replace("@root@", str(root)))
        (programs / "scp").chmod(0o755)
        self._ip("netns", "add", self.prefix + SWITCH)
        self._switch("link", "add", "bridge", "type", "bridge")
        self._switch("link", "set", "bridge", "up")
        self.hosts = {name: Host(self, name, f"{PREFIX}.{n}") for n, name in enumerate(names, 1)}
        lines = ["127.0.0.1 localhost"]
        for name, host in self.hosts.items():
            self._connect(host)
            lines.append(" ".join([host.address, name, *aliases.get(name, ())]))
        for host in self.hosts.values():
            (host.root / "hosts").write_text("\n".join(lines) + "\n")

    def __getitem__(self, name):
        return self.hosts[name]

    def unplug(self, name):
        """Cut a machine off."""
        self._switch("link", "set", name, "down")

    def plug(self, name):
        """Bring it back."""
        self._switch("link", "set", name, "up")

    def close(self):
        """End all that runs on the machines, and the machines."""
        for process in (process for host in self.hosts.values() for process in host.started.values()):
            process.kill()  # what keeps others first
        mark = str(self.root)
        left = [process for process in psutil.process_iter() if _belongs(process, mark)]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=15)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for namespace in (*(host.namespace for host in self.hosts.values()), self.prefix + SWITCH):
            self._ip("netns", "del", namespace)

    def _connect(self, host):
        self._ip("netns", "add", host.namespace)
        self._switch(
            "link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.namespace
        )
        self._switch("link", "set", host.name, "master", "bridge", "up")
        for words in (
            ("addr", "add", f"{host.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            self._ip("-n", host.namespace, *words)

    def _switch(self, *words):
        self._ip("-n", self.prefix + SWITCH, *words)

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _belongs(process, mark):
    """Whether a live process carries the mark of the network in its environment."""
    try:
        return process.environ().get("FEDVSR_TEST_NETWORK") == mark
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
