"""Promises: with a list of peers, a server can't put keys of its own between the sites."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from client_app.secure_peers import check_signatures, read_peers, signed
from fedvsr.deploy.node_keys import make_node_key
from fedvsr_core.errors import ConfigurationError, SecureError

TRANSCRIPT = bytes(32)


@pytest.fixture
def sites(tmp_path):
    """The node configurations of three sites with keys as 'fedvsr deploy site' makes them, and their list."""
    lines = ["# the sites of this federation", ""]
    for name in ("north", "south", "west"):
        make_node_key(tmp_path / f"{name}.key", tmp_path / f"{name}.pub", name)
        lines.append(f"{name} {(tmp_path / f'{name}.pub').read_text().strip()}")
    (tmp_path / "peers.txt").write_text("\n".join(lines))
    return {
        name: {"site": name, "key": str(tmp_path / f"{name}.key"), "peers": str(tmp_path / "peers.txt")}
        for name in ("north", "south", "west")
    }


def signatures(sites):
    return {name: signed(TRANSCRIPT, name, config) for name, config in sites.items()}


def test_the_signatures_of_known_sites_are_taken(sites):
    check_signatures(TRANSCRIPT, signatures(sites), sites["north"])


def test_those_of_another_roster_or_site_are_not(sites):
    good = signatures(sites)
    with pytest.raises(SecureError, match="aren't signed by 'north': somebody may sit between the sites"):
        check_signatures(bytes(31) + b"1", good, sites["north"])
    with pytest.raises(SecureError, match="aren't signed by 'south'"):
        check_signatures(TRANSCRIPT, {**good, "south": good["west"]}, sites["north"])
    with pytest.raises(SecureError, match="aren't signed by 'south'"):
        check_signatures(TRANSCRIPT, {**good, "south": b""}, sites["north"])
    with pytest.raises(SecureError, match="'mole' takes part, but 'peers' doesn't list it"):
        check_signatures(TRANSCRIPT, {**good, "mole": good["west"]}, sites["north"])


def test_without_a_list_nothing_is_checked(sites):
    check_signatures(TRANSCRIPT, {"north": b"", "mole": b""}, {"site": "north"})
    assert signed(TRANSCRIPT, "north", {"site": "north"}) == b""


def test_what_is_no_key_is_named(sites, tmp_path):
    (tmp_path / "bad.txt").write_text("north ssh-rsa AAAA")
    with pytest.raises(ConfigurationError, match=r"bad.txt' must have a line for each site"):
        read_peers(tmp_path / "bad.txt")
    other = ed25519.Ed25519PrivateKey.generate()
    public = other.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (tmp_path / "bad.txt").write_text(f"north {public}")
    with pytest.raises(ConfigurationError, match="the key of 'north' must be an ECDSA key"):
        read_peers(tmp_path / "bad.txt")
    private = other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "bad.key").write_bytes(private)
    with pytest.raises(ConfigurationError, match="'key' must name an ECDSA key, as SuperNodes have"):
        signed(TRANSCRIPT, "north", {"key": str(tmp_path / "bad.key")})
    with pytest.raises(ConfigurationError, match="'key' must name a private key in OpenSSH's format"):
        signed(TRANSCRIPT, "north", {"key": str(tmp_path / "peers.txt")})


def test_other_curves_are_taken(sites, tmp_path):
    private = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "other.key"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (tmp_path / "peers.txt").write_text(f"other {public}")
    signature = signed(TRANSCRIPT, "other", {"key": str(path)})
    check_signatures(TRANSCRIPT, {"other": signature}, sites["north"])
