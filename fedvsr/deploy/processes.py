"""The processes of a federation: what each is started with, and nothing else that starts them."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fedvsr.deploy.server import Server
from fedvsr.deploy.site import Site
from fedvsr_core.errors import ConfigurationError, MissingToolError

QUIET = {
    # Otherwise a run that is submitted could have packages installed at the server and at every site.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Process:
    """What it takes to start a process.

    Attributes:
        command: The program and its arguments.
        environment: What it finds in its environment, in addition to what is there.
        folder: Where it starts.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path

    def replace(self) -> NoReturn:
        """Become this process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(self.folder)
        os.execvpe(self.command[0], self.command, {**os.environ, **self.environment})


def superlink(server: Server) -> Process:
    """The SuperLink: on loopback, with a database to survive a restart, authentication and isolation."""
    command = (
        *("flower-superlink", "--host", "127.0.0.1", "--port", str(server.superlink_port)),
        *("--database", str(server.database)),
        *("--ssl-ca-certfile", str(server.authority), "--ssl-certfile", str(server.certificate)),
        *("--ssl-keyfile", str(server.key)),
        "--enable-supernode-auth",
        *("--isolation", "process", "--superexec-auth-secret-file", str(server.secret)),
        "--disable-runtime-dependency-installation",
    )
    return _flower_process(command, server.home)


def superexec(server: Server) -> Process:
    """What starts the ServerApp of each run, apart from the SuperLink, so that it survives its restart."""
    command = (
        *("flower-superexec", "--runtime-api-address", server.superlink_address),
        *("--root-certificates", str(server.authority)),
        *("--superexec-auth-secret-file", str(server.secret)),
    )
    return _flower_process(command, server.home, FEDVSR_RUNS=str(server.runs))


def proxy(server: Server) -> Process:
    """An nginx of its own, the only process that sites reach.

    Raises:
        MissingToolError: If nginx isn't installed.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        raise MissingToolError("the proxy needs nginx; install it with 'apt-get install nginx-light'")
    folder = server.folder / "proxy"
    command = (program, "-e", "stderr", "-p", str(folder), "-c", str(server.proxy_configuration))
    return Process(command, {}, folder)


def supernode(site: Site, *, insecure: bool = False) -> Process:
    """A site's SuperNode.

    Args:
        site: Its settings.
        insecure: Neither encryption nor authentication, for a try-out on one machine.

    Raises:
        ConfigurationError: If the site has no CA or key and that isn't asked for, or they aren't there.
    """
    if insecure:
        trust: tuple[str, ...] = ("--insecure",)
    elif site.ca and site.key:
        for path in (site.ca, site.key):
            if not path.is_file():
                raise ConfigurationError(f"'{site.path}' names '{path}', but there is no such file")
        trust = ("--root-certificates", str(site.ca), "--auth-supernode-private-key", str(site.key))
    else:
        raise ConfigurationError(
            f"'{site.path}' must name 'ca' and 'key'; without encryption and authentication, everyone on the"
            " way can read and change what is sent: '--insecure' is for a try-out on one machine"
        )
    node_config = " ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in site.node_config().items()
    )
    command = (
        *("flower-supernode", "--superlink", site.server, *trust),
        *("--host", "127.0.0.1", "--port", str(site.port), "--node-config", node_config),
    )
    return _flower_process(command, site.home)


SERVER_PROCESSES = {"superlink": superlink, "superexec": superexec, "proxy": proxy}
"""By the names that ``fedvsr deploy start`` and the units call them."""


def _flower_process(command: tuple[str, ...], home: Path, **more: str) -> Process:
    programs = Path(sys.executable).parent  # Flower's programs start each other by PATH
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**QUIET, "FLWR_HOME": str(home), "PATH": path, **more}
    return Process((str(programs / command[0]), *command[1:]), environment, home)
