"""The connection to the server: port, certificate and clock, checked in one request that asks for nothing."""

import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from cryptography.x509 import load_der_x509_certificate

from fedvsr.deploy.certificates import days_left, hosts_of
from fedvsr.deploy.hosts import bracketed
from fedvsr.doctor.finding import Finding, ok, problem, warning

TIMEOUT_S = 10
FEW_DAYS = 30
AHEAD_S, BEHIND_S = 5, 305
"""Flower refuses what a node signs if the node's clock is further ahead of the server's, or behind it."""
_NOTICEABLE_S = 2
_REMEDIES = {
    9: "see that the clocks of both sides are right",
    10: "renew it at the server",
    18: "get the file of the authority from the server's operator again",
    19: "get the file of the authority from the server's operator again",
    20: "get the file of the authority from the server's operator again",
    62: "use a name that it has, or let the server's operator renew it with this name",
    64: "use an address that it has, or let the server's operator renew it with this address",
}
"""By OpenSSL's number for why it doesn't accept a certificate."""


def check_connection(host: str, port: int, authority: Path) -> Iterator[Finding]:
    """Check the connection to a server; after a failure, what depends on it isn't checked.

    Args:
        host: Name or address, as the SuperNode uses it.
        port: The port.
        authority: Certificate of the authority that must have signed the server's.
    """
    where = f"{bracketed(host)}:{port}"
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except OSError as error:
        remedy = "see that the server runs, that its name is right, and that firewalls let this through"
        yield problem(f"{where} can't be reached: {error}", remedy)
        return
    yield ok(f"{where} can be reached")
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:  # of which ssl's errors are a kind
        yield problem(
            f"'{authority}' isn't a certificate in PEM: {error}", "get it from the server's operator"
        )
        return
    server = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        server.connect()
        yield from _check_certificate(server, where)
        server.request("GET", "/")
        asked = time.time()
        yield check_clock(server.getresponse().headers["Date"], (asked + time.time()) / 2)
    except ssl.SSLCertVerificationError as error:
        remedy = _REMEDIES.get(error.verify_code, "ask the server's operator")
        yield problem(f"the certificate of {where} isn't accepted: {error.verify_message}", remedy)
    except (OSError, HTTPException) as error:
        remedy = "see that the port is that of the server's TLS proxy"
        yield problem(f"{where} doesn't speak TLS and HTTP: {error or type(error).__name__}", remedy)
    finally:
        server.close()


def _check_certificate(server: HTTPSConnection, where: str) -> Iterator[Finding]:
    shown = load_der_x509_certificate(server.sock.getpeercert(binary_form=True) or b"")
    yield ok(f"the certificate of {where} is signed by the authority, for {', '.join(hosts_of(shown))}")
    yield check_lifetime(f"the certificate of {where}", days_left(shown))


def check_lifetime(whose: str, days: float) -> Finding:
    """How long a certificate still holds.

    Args:
        whose: What it is called.
        days: Until it expires; negative afterwards.
    """
    if days < 0:
        return problem(f"{whose} expired {-days:.0f} days ago", "renew it at the server")
    if days < FEW_DAYS:
        return warning(f"{whose} expires in {days:.0f} days", "renew it at the server before")
    return ok(f"{whose} is valid for {days:.0f} days")


def check_clock(date: str | None, now: float) -> Finding:
    """How this machine's clock differs from the server's.

    Args:
        date: HTTP's ``Date`` of the server's answer, which has no fractions of seconds.
        now: This machine's time when it came, seconds since 1970.
    """
    if date is None:
        return warning("the server doesn't tell the time", "compare the clocks by hand: within 5 s is safe")
    ahead = now - parsedate_to_datetime(date).timestamp() - 0.5
    what = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
    remedy = "let both machines take the time from NTP ('timedatectl set-ntp true')"
    if not -BEHIND_S < ahead < AHEAD_S:
        return problem(f"{what}, and Flower will refuse this node", remedy)
    return warning(what, remedy) if abs(ahead) > _NOTICEABLE_S else ok("this machine's clock is the server's")
