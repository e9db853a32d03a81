"""Names and addresses of machines, as people write them."""

import ipaddress
import re

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def check_host(host: str) -> str:
    """A DNS name, or an address of IPv4 or IPv6 without brackets.

    Raises:
        ValueError: If it is neither.
    """
    labels = host.split(".")
    named = len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal()
    if not named and not _is_address(host):
        raise ValueError(
            "must be a DNS name of letters, digits, hyphens and single dots, or an address such as"
            " 192.0.2.1 or 2001:db8::1"
        )
    return host


def check_address(address: str) -> str:
    """A host and a port, such as ``fedvsr.example.org:9092`` or ``[2001:db8::1]:9092``.

    Raises:
        ValueError: If it isn't.
    """
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host[:1] + host[-1:] == "[]" else host
    if bracketed(bare) != host or not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("must be HOST:PORT, with an IPv6 address in brackets and a port from 1 to 65535")
    check_host(bare)
    return address


def bracketed(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone is of one machine alone
