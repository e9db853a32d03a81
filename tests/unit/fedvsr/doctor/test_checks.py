"""Each check of machine, folders, key and proxy says ok, or what is wrong and what to do."""

import os
import shutil
import socket
import subprocess
from importlib.metadata import version

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fedvsr.doctor import folders, machine
from fedvsr.doctor.folders import check_data_folder, check_writable_folder
from fedvsr.doctor.machine import (
    check_device,
    check_memory,
    check_process,
    check_runtime_installation,
    check_software,
)
from fedvsr.doctor.node_key import check_node_key, check_private_file
from fedvsr.doctor.ports import check_port_is_closed, check_proxy


def written(path, key, form=PrivateFormat.OpenSSH):
    path.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    path.chmod(0o600)
    return path


def test_a_key_that_flower_reads(tmp_path):
    assert check_node_key(written(tmp_path / "key", ec.generate_private_key(ec.SECP384R1()))).state == "ok"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "can't be read"),
        (lambda path: written(path, ed25519.Ed25519PrivateKey.generate()), "another kind than ECDSA"),
        (
            lambda path: written(path, ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8),
            "isn't a private key in OpenSSH's format",
        ),
    ],
    ids=["missing", "ed25519", "pem"],
)
def test_keys_that_flower_does_not_read(tmp_path, make, said):
    finding = check_node_key(make(tmp_path / "key"))
    assert finding.state == "problem"
    assert said in finding.what


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen makes the key")
def test_a_key_with_a_passphrase(tmp_path):
    words = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "secret", "-f", str(tmp_path / "key")]
    subprocess.run(words, check=True)
    assert "has a passphrase" in check_node_key(tmp_path / "key").what


@pytest.mark.parametrize(
    ("mode", "state"), [(0o600, "ok"), (0o400, "ok"), (0o640, "problem"), (0o604, "problem")]
)
def test_who_may_read_a_secret(tmp_path, mode, state):
    (tmp_path / "key").touch()
    (tmp_path / "key").chmod(mode)
    assert check_private_file(tmp_path / "key").state == state


def test_a_secret_that_is_not_there(tmp_path):
    assert check_private_file(tmp_path / "key").state == "problem"


def test_the_versions_of_this_environment_are_those_that_are_asked_for():
    findings = list(check_software())
    assert [finding for finding in findings if finding.state != "ok"] == []
    assert any(finding.what.startswith(f"flwr {version('flwr')}") for finding in findings)
    assert " code " in findings[-1].what


def test_a_wrong_version_is_named(monkeypatch):
    known = machine.version
    monkeypatch.setattr(machine, "version", lambda name: "1.28.0" if name == "flwr" else known(name))
    (finding,) = [finding for finding in check_software() if finding.state != "ok"]
    assert finding.state == "problem"
    assert finding.what == "flwr must be <1.43,>=1.41, is 1.28.0"


def test_devices():
    assert check_device("cpu").state == "ok"
    assert check_device("cuda:99").state == "problem"


def test_memory():
    assert check_memory(1).state == "ok"
    assert check_memory(2**40).state == "problem"


@pytest.mark.parametrize(("value", "state"), [("1", "ok"), ("0", "warning")])
def test_runtime_installation(monkeypatch, value, state):
    monkeypatch.setenv(machine.NO_INSTALLATION, value)
    assert check_runtime_installation().state == state


def test_a_process_that_is_not_there(tmp_path):
    assert check_process("flower-supernode", tmp_path).state == "warning"


def test_a_folder_without_videos(tmp_path):
    findings = list(check_data_folder(tmp_path))
    assert findings[0].state == "problem"
    assert "fedvsr data check" in findings[0].remedy


def test_a_folder_that_is_not_there(tmp_path):
    (finding,) = check_data_folder(tmp_path / "none")
    assert (finding.state, "isn't a folder" in finding.what) == ("problem", True)


def test_videos_that_could_be_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.os, "access", lambda path, mode: True)
    assert any("can be written to" in finding.what for finding in check_data_folder(tmp_path))
    monkeypatch.setattr(folders.os, "access", lambda path, mode: not mode & os.W_OK)
    assert not any("can be written to" in finding.what for finding in check_data_folder(tmp_path))


def test_a_folder_to_write_to(tmp_path, monkeypatch):
    assert check_writable_folder(tmp_path / "not" / "yet", "home").state == "ok"
    monkeypatch.setattr(folders, "_LEAST_FREE_GB", 1e9)
    assert check_writable_folder(tmp_path, "home").state == "problem"
    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    assert "can't be written to" in check_writable_folder(tmp_path, "home").what


@pytest.mark.parametrize(("status", "state"), [(403, "ok"), (404, "problem"), (200, "problem")])
def test_a_gate_lets_nothing_else_through(serve, authority, status, state):
    with serve(status=status) as port:
        assert check_proxy("127.0.0.1", port, authority[1]).state == state


def test_a_port_that_must_be_shut(monkeypatch):
    monkeypatch.setattr("fedvsr.doctor.ports._addresses", lambda host: {host})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert [finding.state for finding in check_port_is_closed(["127.0.0.1"], port)] == ["problem"]
    assert [finding.state for finding in check_port_is_closed(["127.0.0.1"], port)] == ["ok"]


def test_loopback_is_no_way_in():
    assert list(check_port_is_closed(["localhost", "127.0.0.1"], 1)) == []
