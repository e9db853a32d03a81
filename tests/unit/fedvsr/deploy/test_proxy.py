"""Promises: nginx takes the configuration, and passes on what a SuperNode asks for and nothing else."""

import re
import shutil
import subprocess

import pytest
from flwr.superlink.routers.fleet.router import router

from fedvsr.deploy.certificates import issue, make_authority
from fedvsr.deploy.proxy import FLEET, nginx_configuration
from fedvsr.deploy.server import Server, server_text

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "server.toml"
    path.write_text(server_text(["fedvsr.example.org"], 19092, 19093))
    return Server.of(tmp_path)


def test_it_passes_on_the_whole_fleet_api():
    assert {route.path for route in router.routes} == {f"/v1/fleet/{name}" for name in FLEET}


def test_everything_is_filled_in(server):
    text = nginx_configuration(server)
    assert re.findall(r"@\w+@", text) == []
    assert "listen 19092 ssl;" in text
    assert "server 127.0.0.1:19093 " in text
    assert text.count("proxy_pass") == 1


@pytest.mark.skipif(NGINX is None, reason="needs nginx (apt-get install nginx-light)")
def test_nginx_takes_it(server):
    make_authority(server.authority_key, server.authority)
    issue(
        server.key, server.certificate, authority=(server.authority_key, server.authority), hosts=server.hosts
    )
    (server.folder / "proxy").mkdir()
    server.proxy_configuration.write_text(nginx_configuration(server))
    words = [NGINX, "-t", "-e", "stderr", "-p", server.folder / "proxy", "-c", server.proxy_configuration]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
