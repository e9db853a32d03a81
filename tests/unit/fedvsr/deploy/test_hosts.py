"""Promises: what is taken for a host can be resolved or connected to, and everything else is refused."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr.deploy.hosts import bracketed, check_address, check_host

HOSTS = ["a", "fedvsr.example.org", "a-b.c1", "192.0.2.1", "2001:db8::1", "::1", "x" * 63 + ".org"]
NO_HOSTS = [
    *("", ".", "a..b", ".a", "a.", "-a", "a-", "a_b", "a b", "a\nb", "é.de", "a:b", "1.2.3.400", "1.2"),
    *("[::1]", "fe80::1%eth0", ":::", "x" * 64, ".".join(["x" * 60] * 5), "a/b", "<b>", "\udcff"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_taken(host):
    assert check_host(host) == host
    assert check_address(f"{bracketed(host)}:9092") == f"{bracketed(host)}:9092"


@pytest.mark.parametrize("host", NO_HOSTS)
def test_refused(host):
    with pytest.raises(ValueError, match="must be a DNS name"):
        check_host(host)
    with pytest.raises(ValueError, match="must be"):
        check_address(f"{bracketed(host)}:9092")


@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "", "x", "1.5", "123456", "٣"])
def test_ports_that_there_are_not(port):
    with pytest.raises(ValueError, match="port from 1 to 65535"):
        check_address(f"a:{port}")


@pytest.mark.parametrize("address", ["::1:9092", "a", ":1", "[a]:1", "[1.2.3.4]:1", "a:b:1"])
def test_brackets_are_for_ipv6(address):
    with pytest.raises(ValueError, match="must be"):
        check_address(address)


@given(st.ip_addresses().map(str))
def test_every_address_is_a_host(address):
    assert check_host(address) == address
    host = check_address(f"{bracketed(address)}:1").rpartition(":")[0].strip("[]")
    assert ipaddress.ip_address(host) == ipaddress.ip_address(address)
