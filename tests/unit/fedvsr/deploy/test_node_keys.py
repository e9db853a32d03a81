"""Promises: a key pair that Flower reads, made once, its private half for its owner alone."""

import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from fedvsr.deploy.node_keys import fingerprint, make_node_key
from fedvsr_core.errors import ConfigurationError


@pytest.fixture
def pair(tmp_path):
    paths = (tmp_path / "north.key", tmp_path / "north.pub")
    assert make_node_key(*paths, "north")
    return paths


def test_the_halves_belong_together(pair):
    private = load_ssh_private_key(pair[0].read_bytes(), password=None)
    assert private.curve.name == "secp384r1"
    assert private.public_key() == load_ssh_public_key(pair[1].read_bytes())
    assert pair[1].read_text().endswith(" north\n")


def test_the_private_one_is_for_its_owner_alone(pair):
    assert pair[0].stat().st_mode & 0o777 == 0o600


def test_it_is_made_once(pair):
    before = [path.read_bytes() for path in pair]
    assert not make_node_key(*pair, "north")
    assert [path.read_bytes() for path in pair] == before


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_the_fingerprint_is_the_one_of_ssh(pair):
    done = subprocess.run(["ssh-keygen", "-l", "-f", pair[1]], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:3] == ["384", fingerprint(pair[1]), "north"]


def test_what_is_no_key_is_refused(tmp_path, pair):
    with pytest.raises(ConfigurationError, match=r"north\.key' must be a public key in OpenSSH's format"):
        fingerprint(pair[0])
    with pytest.raises(
        ConfigurationError, match=r"gone\.pub' must be a site's public key, but: No such file"
    ):
        fingerprint(tmp_path / "gone.pub")
