"""Which checks belong to what: a machine, a site, or the server."""

from collections.abc import Iterator
from pathlib import Path

from fedvsr.deploy.certificates import days_left, hosts_of, read_certificate
from fedvsr.deploy.server import Server
from fedvsr.deploy.site import Site
from fedvsr.doctor.bundles import bundles
from fedvsr.doctor.connection import connection, lifetime
from fedvsr.doctor.finding import Finding, ok, problem
from fedvsr.doctor.folders import data_folder, own_folder
from fedvsr.doctor.machine import device, memory, process, runtime_installation, software
from fedvsr.doctor.node_key import node_key, private_file, registered
from fedvsr.doctor.ports import gate, shut
from fedvsr_core.errors import ConfigurationError

_LOOPBACK = "127.0.0.1"


def examine_machine() -> Iterator[Finding]:
    """This machine, whatever it is for."""
    yield from software()
    yield device()
    yield runtime_installation()


def examine_site(site: Site) -> Iterator[Finding]:
    """A site, and its way to the server."""
    yield from software()
    yield device(site.device)
    yield memory(site.memory_mb)
    yield from data_folder(site.data_dir)
    if site.held_out_dir:
        yield from data_folder(site.held_out_dir, "held-out-dir")
    if site.weights_dir and not site.weights_dir.is_dir():
        yield problem(f"weights-dir '{site.weights_dir}' isn't a folder", "name one, or take the line out")
    yield own_folder(site.memory_dir, "memory-dir")
    yield own_folder(site.home, "home")
    yield process("flower-supernode", site.home)
    yield from bundles(site.apps, site.code)
    if site.ca is None or site.key is None:
        yield problem(
            f"'{site.path}' names no 'ca' or no 'key': neither encryption nor authentication",
            "get ca.crt from the server's operator, and run 'fedvsr deploy site' on this folder",
        )
        return
    yield private_file(site.key)
    usable = node_key(site.key)
    yield usable
    way = list(connection(site.host, int(site.server.rpartition(":")[2]), site.ca))
    yield from way
    if usable.state == "ok" and all(finding.state != "problem" for finding in way):
        yield registered(site.server, site.ca, site.key)


def examine_server(server: Server) -> Iterator[Finding]:
    """The server: its secrets, its certificate, and what can be reached from where."""
    yield from software()
    yield device()
    for secret in (server.authority_key, server.key, server.secret):
        yield private_file(secret)
    yield from _certificates(server)
    yield own_folder(server.runs, "folder of runs")
    yield own_folder(server.home, "home")
    yield process("flower-superlink", server.home)
    yield process("flower-superexec", server.home)
    for what, port in (("the SuperLink", server.superlink_port), ("the proxy", server.port)):
        for finding in connection(_LOOPBACK, port, server.authority):
            if finding.state != "ok":
                yield Finding(finding.state, f"{what}: {finding.what}", finding.remedy)
                break
        else:
            yield ok(f"{what} answers at port {port}, with a certificate of the authority")
            if port == server.port:
                yield gate(_LOOPBACK, port, server.authority)
    yield from shut(server.hosts, server.superlink_port)


def examine(path: Path | None) -> Iterator[Finding]:
    """Look at what a path stands for.

    Args:
        path: ``site.toml`` or the folder with it, the server's folder, or None for this machine alone.

    Raises:
        ConfigurationError: If it is none of these, or its settings are wrong.
    """
    if path is None:
        return examine_machine()
    if path.name == "site.toml" or (path / "site.toml").is_file():
        return examine_site(Site.of(path))
    if path.name == "server.toml" or (path / "server.toml").is_file():
        return examine_server(Server.of(path if path.is_dir() else path.parent))
    raise ConfigurationError(
        f"'{path}' must be a site.toml, or a folder with one or a server.toml; 'fedvsr deploy' makes both"
    )


def _certificates(server: Server) -> Iterator[Finding]:
    renew = f"fedvsr deploy renew '{server.folder}'"
    try:
        authority, own = read_certificate(server.authority), read_certificate(server.certificate)
    except ConfigurationError as error:
        yield problem(str(error), f"bring it back, or make it with 'fedvsr deploy server {server.folder}'")
        return
    yield lifetime("the authority's certificate", days_left(authority))
    yield lifetime("the server's certificate", days_left(own))
    if missing := sorted(set(server.hosts) - set(hosts_of(own))):
        yield problem(f"the server's certificate lacks {', '.join(missing)} of server.toml", renew)
    else:
        yield ok(f"the server's certificate is for {', '.join(hosts_of(own))}")
