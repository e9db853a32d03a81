"""Promises: clients find the server's certificate good for each of its names, and for nothing else."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fedvsr.deploy.certificates import (
    days_left,
    fingerprint,
    hosts_of,
    issue,
    make_authority,
    read_certificate,
)
from fedvsr_core.errors import ConfigurationError

HOSTS = ("fedvsr.example.org", "192.0.2.1", "2001:db8::1")


@pytest.fixture
def authority(tmp_path):
    paths = (tmp_path / "ca.key", tmp_path / "ca.crt")
    assert make_authority(*paths)
    return paths


@pytest.fixture
def server(tmp_path, authority):
    paths = (tmp_path / "server.key", tmp_path / "server.crt")
    issue(*paths, authority=authority, hosts=HOSTS)
    return paths


def verify(certificate, authority, name, when=None):
    """As a TLS client does; raises VerificationError."""
    store = Store([read_certificate(authority[1])])
    builder = PolicyBuilder().store(store).time(when or datetime.now(UTC))
    builder.build_server_verifier(name).verify(read_certificate(certificate), [])


@pytest.mark.parametrize("host", [*HOSTS, "localhost", "127.0.0.1"])
def test_it_is_good_for_every_name(server, authority, host):
    address = host.replace(".", "").isdigit() or ":" in host
    verify(server[1], authority, x509.IPAddress(ip_address(host)) if address else x509.DNSName(host))


def test_it_is_good_for_no_other_name(server, authority):
    with pytest.raises(VerificationError):
        verify(server[1], authority, x509.DNSName("other.example.org"))


def test_another_authority_does_not_vouch_for_it(server, tmp_path):
    other = (tmp_path / "other.key", tmp_path / "other.crt")
    make_authority(*other)
    with pytest.raises(VerificationError):
        verify(server[1], other, x509.DNSName("localhost"))


def test_it_expires_after_a_year(server, authority):
    name, now = x509.DNSName("localhost"), datetime.now(UTC)
    assert days_left(read_certificate(server[1])) == pytest.approx(365, abs=0.1)
    verify(server[1], authority, name, now + timedelta(days=364))
    with pytest.raises(VerificationError):
        verify(server[1], authority, name, now + timedelta(days=366))


def test_renewed_it_has_the_same_key_and_the_new_names(server, authority):
    before = read_certificate(server[1])
    key = server[0].read_bytes()
    issue(*server, authority=authority, hosts=["new.example.org"])
    after = read_certificate(server[1])
    assert server[0].read_bytes() == key
    assert after.public_key() == before.public_key()
    assert after.serial_number != before.serial_number
    assert hosts_of(after) == ["new.example.org", "localhost", "127.0.0.1"]


def test_the_authority_is_made_once(authority):
    before = [path.read_bytes() for path in authority]
    assert not make_authority(*authority)
    assert [path.read_bytes() for path in authority] == before


def test_keys_are_for_their_owner_alone(server, authority):
    assert [path.stat().st_mode & 0o777 for path in (server[0], authority[0])] == [0o600, 0o600]


def test_the_fingerprint_is_of_the_certificate(authority):
    assert fingerprint(read_certificate(authority[1])).count(":") == 31


def test_what_is_no_certificate_is_refused(tmp_path):
    path = tmp_path / "ca.crt"
    with pytest.raises(ConfigurationError, match=r"ca\.crt' must be a certificate, but: No such file"):
        read_certificate(path)
    path.write_text("hello")
    with pytest.raises(ConfigurationError, match=r"ca\.crt' must be a certificate in PEM"):
        read_certificate(path)


def test_without_the_authority_nothing_is_renewed(server, authority):
    authority[0].unlink()
    with pytest.raises(
        ConfigurationError, match=r"ca\.key' must sign the certificate, but is missing; bring it back"
    ):
        issue(*server, authority=authority, hosts=HOSTS)
