"""What keeps a site from its server is distinguished: port, plain text, authority, name, expiry, clock."""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fedvsr.deploy import certificates
from fedvsr.deploy.certificates import make_authority
from fedvsr.doctor.connection import check_clock, check_connection, check_lifetime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wrong(findings):
    """The findings that aren't ok."""
    return [(finding.state, finding.what) for finding in findings if finding.state != "ok"]


def test_a_sound_way(serve, authority):
    with serve() as port:
        findings = list(check_connection("127.0.0.1", port, authority[1]))
    assert wrong(findings) == []
    assert [finding.what.partition(" of ")[0] for finding in findings[1:3]] == ["the certificate"] * 2
    assert len(findings) == 4


def test_nobody_listens(authority):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (finding,) = check_connection("127.0.0.1", taken.getsockname()[1], authority[1])
    assert finding.state == "problem"
    assert "can't be reached: [Errno 111]" in finding.what


def test_plain_text(serve, authority):
    with serve(tls=False) as port:
        findings = list(check_connection("127.0.0.1", port, authority[1]))
    assert "doesn't speak TLS and HTTP" in wrong(findings)[0][1]


def test_another_authority(serve, authority, tmp_path):
    make_authority(tmp_path / "other.key", tmp_path / "other.crt")
    with serve() as port:
        findings = list(check_connection("127.0.0.1", port, tmp_path / "other.crt"))
    ((state, what),) = wrong(findings)
    assert state == "problem"
    assert what.startswith(f"the certificate of 127.0.0.1:{port} isn't accepted: ")
    assert findings[-1].remedy == "get the file of the authority from the server's operator again"


def test_another_name(serve, authority, monkeypatch):
    monkeypatch.setattr(certificates, "LOOPBACK", ())
    with serve(["server.example"]) as port:
        findings = list(check_connection("127.0.0.1", port, authority[1]))
    assert "IP address mismatch" in wrong(findings)[0][1]
    assert "renew it with this address" in findings[-1].remedy


def test_an_expired_certificate(serve, authority, monkeypatch):
    monkeypatch.setattr(certificates, "SERVER_DAYS", -1)
    monkeypatch.setattr(certificates, "_EARLIER", timedelta(days=3))
    with serve() as port:
        findings = list(check_connection("127.0.0.1", port, authority[1]))
    assert "certificate has expired" in wrong(findings)[0][1]
    assert findings[-1].remedy == "renew it at the server"


def test_a_file_that_is_no_certificate(serve, authority):
    with serve() as port:
        findings = list(check_connection("127.0.0.1", port, authority[0]))
    assert "isn't a certificate in PEM" in wrong(findings)[0][1]


@pytest.mark.parametrize(
    ("ahead_s", "state"),
    [
        (0, "ok"),
        (1.5, "ok"),
        (-1.5, "ok"),
        (4, "warning"),
        (-200, "warning"),
        (6, "problem"),
        (-400, "problem"),
    ],
)
def test_clocks(ahead_s, state):
    date = format_datetime(NOON, usegmt=True)
    assert check_clock(date, NOON.timestamp() + 0.5 + ahead_s).state == state


def test_a_server_that_does_not_tell_the_time():
    assert check_clock(None, 0.0).state == "warning"


@pytest.mark.parametrize(("days", "state"), [(300, "ok"), (29, "warning"), (-1, "problem")])
def test_lifetimes(days, state):
    assert check_lifetime("it", days).state == state
