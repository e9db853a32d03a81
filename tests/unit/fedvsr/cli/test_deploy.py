"""Promises: `fedvsr deploy` makes all that is needed, keeps secrets to their owner, and overwrites no key."""

import re
import socket
import stat

import pytest
from typer.testing import CliRunner

from fedvsr.cli.main import app

SECRETS = {"ca.key", "server.key", "superexec.secret", "north.key"}


def deploy(*words):
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(app, ["deploy", *map(str, words)])
    return done.exit_code, re.sub(r"[│╭╮╰╯─\s]+", " ", done.output)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    code, said = deploy("server", folder, "--host", "localhost", "--port", 19092)
    assert code == 0, said
    return folder


@pytest.fixture
def site(tmp_path, server):
    folder = tmp_path / "north"
    code, said = deploy("site", folder, *new_site(tmp_path, server))
    assert code == 0, said
    return folder


def new_site(tmp_path, server):
    to = ("--server", "localhost:19092", "--ca", server / "ca.crt")
    return ("--name", "north", "--data-dir", tmp_path / "videos", *to)


def files(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_secrets_are_for_their_owner_alone(server, site):
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files(server, site)}
    assert set(found) > SECRETS
    assert {name for name, mode in found.items() if mode == 0o600} >= SECRETS


def test_the_private_key_stays_at_the_site(server, site):
    key = (site / "north.key").read_bytes()
    assert [path for path, content in files(server, site).items() if content == key] == [site / "north.key"]


def test_both_sides_see_the_same_fingerprint(tmp_path, server):
    of_server = deploy("server", server)[1]
    of_site = deploy("site", tmp_path / "south", *new_site(tmp_path, server))[1]
    fingerprint = re.search(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", of_server)[0]
    assert fingerprint in of_site


def test_called_again_nothing_changes(server, site):
    before = files(server, site)
    assert deploy("server", server)[0] == 0
    assert deploy("site", site)[0] == 0
    assert files(server, site) == before


def test_called_again_configuration_follows_the_settings(server, site):
    settings = server / "server.toml"
    settings.write_text(settings.read_text().replace("19092", "19192"))
    assert deploy("server", server)[0] == 0
    assert "listen 19192 ssl;" in (server / "nginx.conf").read_text()


def test_renewed_the_certificate_is_new_and_the_keys_are_not(server):
    before = files(server)
    assert deploy("renew", server)[0] == 0
    assert [path.name for path, content in files(server).items() if before[path] != content] == ["server.crt"]


@pytest.mark.parametrize(("words", "name"), [((), "north"), (("--name", "nord"), "nord")])
def test_a_key_is_registered_under_the_name_of_its_site(server, site, monkeypatch, words, name):
    asked = []
    monkeypatch.setattr("fedvsr.engine.flwr", lambda *words, home: asked.append(words) or 0)
    monkeypatch.setattr("fedvsr.cli.deploy._listens", lambda port: True)
    code, said = deploy("register", server, site / "north.pub", *words)
    assert code == 0
    assert f"north.pub: '{name}', SHA256:" in said
    assert asked == [
        ("supernode", "register", str((site / "north.pub").resolve()), "federation", "--name", name)
    ]


def test_without_a_superlink_it_says_how_to_start_one(server, site, monkeypatch):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        settings = (server / "server.toml").read_text()
        port = taken.getsockname()[1]
        settings = re.sub(r"superlink-port = \d+", f"superlink-port = {port}", settings)
        (server / "server.toml").write_text(settings)
        code, said = deploy("register", server, site / "north.pub")
    assert code == 1
    said = " ".join(said.replace("│", " ").split())
    assert f"no SuperLink listens on port {port}, so" in said
    assert "systemctl start fedvsr-superlink" in said


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("server", "{new}"), "a new server needs at least one --host"),
        (("server", "{new}", "--host", "a b"), "'hosts.0': must be a DNS name"),
        (("server", "{new}", "--host", "a", "--port", "9093"), "port and superlink-port must differ"),
        (("server", "{server}", "--host", "other"), "already names the hosts localhost, not other"),
        (("server", "{new} $x", "--host", "a"), "must have only letters, digits, dots"),
        (("site", "{new}", "--name", "north"), "a new site needs --name, --data-dir, --server and --ca"),
        (
            ("site", "{new}", "--name", "a/b", "--data-dir", "v", "--server", "h", "--ca", "{server}/ca.crt"),
            "'site': string should match pattern",
        ),
        (
            ("site", "{new}", "--name", "a", "--data-dir", "v", "--server", "h:1", "--ca", "{new}"),
            "must be a certificate",
        ),
        (("register", "{server}", "{server}/ca.key"), "must be a public key in OpenSSH's format"),
        (("register", "{server}", "{server}/ca.key", "--name", "a/b"), "'a/b' must be a site's name"),
        (("start", "{server}", "superlnik"), "'superlnik' must be one of superlink, superexec, proxy"),
        (("start", "{server}"), "site.toml' can't be read"),
        (("renew", "{new}"), "server.toml' can't be read"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, server, words, answer):
    known = {"new": tmp_path / "new", "server": server}
    code, said = deploy(*(word.format(**known) for word in words))
    assert code == 1
    assert answer in said
    assert not (tmp_path / "new" / "server.toml").exists()
    assert not (tmp_path / "new" / "site.toml").exists()


@pytest.mark.parametrize("user", ["", "root", "a\nExecStart=/bin/sh", "a b", "%h", "0", "x" * 33, "$HOME"])
def test_units_run_as_a_user_without_privileges_and_nothing_else(tmp_path, user):
    code, said = deploy("server", tmp_path / "server", "--host", "localhost", "--user", user)
    assert code == 1
    assert "--user must be a name of small letters" in said
    assert not (tmp_path / "server").exists()


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--port", 0, "'port': input should be greater than or equal to 1, got 0"),
        ("--port", 99999, "'port': input should be less than or equal to 65535, got 99999"),
        ("--port", 9093, "port and superlink-port must differ, both are 9093"),
        ("--host", "a..b", "'hosts.1': must be a DNS name"),
        ("--host", "a\nb", "'hosts.1': must be a DNS name"),
    ],
)
def test_ports_and_hosts_that_there_are_not(tmp_path, option, value, why):
    code, said = deploy("server", tmp_path / "server", "--host", "localhost", option, value)
    assert code == 1
    assert why in said
    assert not (tmp_path / "server/ca.key").exists()


def test_a_server_may_have_an_address_of_ipv6(tmp_path):
    folder = tmp_path / "server"
    code, said = deploy("server", folder, "--host", "::1", "--port", 19092)
    assert code == 0, said
    assert "for sites at [::1]:19092" in said
    listens = [line.strip() for line in (folder / "nginx.conf").read_text().splitlines() if "listen " in line]
    assert listens == ["listen 19092 ssl;", "listen [::]:19092 ssl;"]
    code, said = deploy(
        "site", tmp_path / "north", *new_site(tmp_path, folder)[:4], "--server", "[::1]:19092", "--ca",
        folder / "ca.crt",
    )  # fmt: skip
    assert code == 0, said
    assert "IPAddressAllow=localhost ::1" in (tmp_path / "north/fedvsr-site-north.service").read_text()


def test_damaged_keys_are_named(tmp_path, server):
    for content in (b"", b"no key", b"\xff\xfe", (server / "ca.crt").read_bytes()):
        (server / "ca.key").write_bytes(content)
        code, said = deploy("renew", server)
        assert code == 1
        assert "must be a private key in PEM" in said
