"""Promises: systemd takes the units; they start what the recipe starts, without privileges."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedvsr.deploy.server import Server, server_text
from fedvsr.deploy.site import Site
from fedvsr.deploy.units import server_units, site_unit
from fedvsr_core.errors import ConfigurationError

PROGRAM = Path(sys.executable).parent / "fedvsr"


@pytest.fixture
def units(tmp_path):
    server = Server.parse(server_text(["192.0.2.1"], 9092, 9093), tmp_path / "server.toml")
    return {**server_units(server, "someone"), "site.service": site_unit(site(tmp_path), "someone")}


def site(folder, server="192.0.2.1:9092"):
    text = f'site = "north"\ndata-dir = "/my videos"\nserver = "{server}"\nca = "ca.crt"\nkey = "n.key"\n'
    return Site.parse(text, folder / "site.toml")


def test_there_is_one_for_each_process(units):
    names = ["fedvsr-proxy.service", "fedvsr-superexec.service", "fedvsr-superlink.service", "site.service"]
    assert sorted(units) == names


def test_they_start_what_the_recipe_starts(units, tmp_path):
    folder = tmp_path.resolve()
    for name in ("superlink", "superexec", "proxy"):
        assert f"ExecStart={PROGRAM} deploy start {folder} {name}\n" in units[f"fedvsr-{name}.service"]
    assert f"ExecStart={PROGRAM} deploy start {folder}/site.toml\n" in units["site.service"]


@pytest.mark.parametrize(
    "line",
    [
        "User=someone",
        "Restart=always",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "Environment=FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1",
    ],
)
def test_all_of_them_say(units, line):
    assert [name for name, unit in units.items() if line not in unit.splitlines()] == []


def test_a_site_reaches_the_server_and_reads_its_videos_only(units, tmp_path):
    lines = units["site.service"].splitlines()
    assert "IPAddressDeny=any" in lines
    assert "IPAddressAllow=localhost 192.0.2.1" in lines
    (readable,) = (line for line in lines if line.startswith("BindReadOnlyPaths="))
    assert readable.endswith(' "/my videos"')
    assert f"BindPaths={tmp_path.resolve()}" in lines


def test_a_server_without_an_address_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"name .gone\.invalid. must resolve"):
        site_unit(site(tmp_path, "gone.invalid:9092"), "someone")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_them(units, tmp_path):
    for name, unit in units.items():
        path = tmp_path / name
        path.write_text(unit)
        done = subprocess.run(
            ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False, env=os.environ
        )
        assert str(path) not in done.stderr, done.stderr
        assert name not in done.stderr, done.stderr
