"""Which of the server's ports and paths can be reached: sites may fetch work and nothing else."""

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Iterator
from http.client import FORBIDDEN, HTTPException, HTTPSConnection
from pathlib import Path

from fedvsr.deploy.hosts import bracketed
from fedvsr.doctor.finding import Finding, ok, problem

TIMEOUT_S = 5
_FORBIDDEN_PATHS = ("/v1/control/list-runs", "/v1/runtime/pull-messages")


def check_proxy(host: str, port: int, authority: Path) -> Finding:
    """Check that the proxy refuses the APIs through which anyone could run code.

    Args:
        host: Name or address of the proxy.
        port: Its port.
        authority: Certificate of the authority.
    """
    open_paths, where = [], f"{bracketed(host)}:{port}"
    try:
        context = ssl.create_default_context(cafile=authority)
        for path in _FORBIDDEN_PATHS:
            server = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
            server.request("POST", path)
            if server.getresponse().status != FORBIDDEN:
                open_paths.append(path)
            server.close()
    except (OSError, HTTPException) as error:
        return problem(f"{where} doesn't answer: {error}", "start the proxy")
    if open_paths:
        return problem(
            f"{where} passes on {' and '.join(open_paths)}: whoever reaches it can run code everywhere",
            "close that port; let sites reach the proxy of 'fedvsr deploy server' and nothing else",
        )
    return ok(f"{where} passes on what sites need, and neither control nor runtime")


def check_port_is_closed(hosts: Iterable[str], port: int) -> Iterator[Finding]:
    """Check that a port of this machine is closed at the addresses that others reach it by.

    Args:
        hosts: Names and addresses.
        port: The port that only this machine itself may reach.
    """
    for address in sorted({address for host in hosts for address in _addresses(host)}):
        try:
            socket.create_connection((address, port), TIMEOUT_S).close()
        except OSError:
            yield ok(f"the SuperLink's port {port} is closed at {address}")
        else:
            yield problem(
                f"the SuperLink's port {port} is open at {address}: who reaches it can run code everywhere",
                "start the SuperLink with --host 127.0.0.1, as 'fedvsr deploy start' does",
            )


def _addresses(host: str) -> set[str]:
    """The addresses of a name as seen here, but for loopback; none if it has none."""
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()
    return {
        address for address in addresses if not ipaddress.ip_address(address.partition("%")[0]).is_loopback
    }
