"""Which checks belong to what: a machine, a site, or the server."""

from collections.abc import Iterator
from pathlib import Path

from fedvsr.deploy.certificates import days_left, hosts_of, read_certificate
from fedvsr.deploy.server import Server
from fedvsr.deploy.site import Site
from fedvsr.doctor.bundles import check_bundles
from fedvsr.doctor.connection import check_connection, check_lifetime
from fedvsr.doctor.finding import Finding, ok, problem
from fedvsr.doctor.folders import check_data_folder, check_writable_folder
from fedvsr.doctor.machine import (
    check_device,
    check_memory,
    check_process,
    check_runtime_installation,
    check_software,
)
from fedvsr.doctor.node_key import check_node_key, check_private_file, check_registration
from fedvsr.doctor.ports import check_port_is_closed, check_proxy
from fedvsr_core.errors import ConfigurationError

_LOOPBACK = "127.0.0.1"


def examine_machine() -> Iterator[Finding]:
    """This machine, whatever it is for."""
    yield from check_software()
    yield check_device()
    yield check_runtime_installation()


def examine_site(site: Site) -> Iterator[Finding]:
    """A site, and its connection to the server."""
    yield from check_software()
    yield check_device(site.device)
    yield check_memory(site.memory_mb)
    yield from check_data_folder(site.data_dir, site.low_dir)
    if site.held_out_dir:
        yield from check_data_folder(site.held_out_dir, site.held_out_low_dir, key="held-out-dir")
    if site.weights_dir and not site.weights_dir.is_dir():
        yield problem(f"weights-dir '{site.weights_dir}' isn't a folder", "name one, or take the line out")
    yield check_writable_folder(site.memory_dir, "memory-dir")
    yield check_writable_folder(site.audit_dir, "audit-dir")
    yield check_writable_folder(site.home, "home")
    yield check_process("flower-supernode", site.home)
    yield from check_bundles(site.apps, site.code)
    if site.ca is None or site.key is None:
        yield problem(
            f"'{site.path}' names no 'ca' or no 'key': neither encryption nor authentication",
            "get ca.crt from the server's operator, and run 'fedvsr deploy site' on this folder",
        )
        return
    yield check_private_file(site.key)
    usable = check_node_key(site.key)
    yield usable
    findings = list(check_connection(site.host, int(site.server.rpartition(":")[2]), site.ca))
    yield from findings
    if usable.state == "ok" and all(finding.state != "problem" for finding in findings):
        yield check_registration(site.server, site.ca, site.key)


def examine_server(server: Server) -> Iterator[Finding]:
    """The server: its secrets, its certificate, and what can be reached from where."""
    yield from check_software()
    yield check_device()
    for secret in (server.authority_key, server.key, server.secret):
        yield check_private_file(secret)
    yield from _check_certificates(server)
    yield check_writable_folder(server.runs, "folder of runs")
    yield check_writable_folder(server.home, "home")
    yield check_process("flower-superlink", server.home)
    yield check_process("flower-superexec", server.home)
    for what, port in (("the SuperLink", server.superlink_port), ("the proxy", server.port)):
        for finding in check_connection(_LOOPBACK, port, server.authority):
            if finding.state != "ok":
                yield Finding(finding.state, f"{what}: {finding.what}", finding.remedy)
                break
        else:
            yield ok(f"{what} answers at port {port}, with a certificate of the authority")
            if port == server.port:
                yield check_proxy(_LOOPBACK, port, server.authority)
    yield from check_port_is_closed(server.hosts, server.superlink_port)


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


def _check_certificates(server: Server) -> Iterator[Finding]:
    renew = f"fedvsr deploy renew '{server.folder}'"
    try:
        authority, own = read_certificate(server.authority), read_certificate(server.certificate)
    except ConfigurationError as error:
        yield problem(str(error), f"bring it back, or make it with 'fedvsr deploy server {server.folder}'")
        return
    yield check_lifetime("the authority's certificate", days_left(authority))
    yield check_lifetime("the server's certificate", days_left(own))
    if missing := sorted(set(server.hosts) - set(hosts_of(own))):
        yield problem(f"the server's certificate lacks {', '.join(missing)} of server.toml", renew)
    else:
        yield ok(f"the server's certificate is for {', '.join(hosts_of(own))}")
