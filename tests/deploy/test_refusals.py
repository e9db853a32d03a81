"""Promises: who doesn't belong gets nowhere, and both sides' operators can read why."""

import shutil
from datetime import timedelta

import pytest

from fedvsr.deploy import certificates
from fedvsr.deploy.server import Server

pytestmark = pytest.mark.slow
CLOSED = (
    "/v1/control/list-runs",
    "/v1/runtime/acquire-task",
    "/health",
    "/openapi.json",
    "/v1/fleet/",
    "/v1/fleet/../control/list-runs",
    "/v1/fleet/%2e%2e/control/list-runs",
    "/v1/fleet/pull-messages%2f..%2f..%2fcontrol/list-runs",
    "/v1/control/../fleet/pull-messages",
    "/v1/%66leet/pull-messages",
    "//v1/fleet/pull-messages",
    "/v1/fleet/pull-messages?x=1",
)
ASK = (
    "curl --silent --max-time 20 --cacert /srv/ca.crt --path-as-is --output /dev/null"
    " --write-out '%{http_code}' --header 'Content-Type: application/protobuf'"
)
CONNECTION = """
export FLWR_HOME=/srv/home FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
mkdir -p /srv/home
cat > /srv/home/config.toml <<'END'
[superlink]
default = "federation"
[superlink.federation]
address = "fedvsr.example.org:9092"
root-certificates = "/srv/ca.crt"
END
"""


@pytest.fixture(scope="module")
def stranger(installation):
    """A machine with all that a site has but a registered key: the worst that can come from outside."""
    host = installation.network["stranger"]
    host.run(
        "scp server:/srv/fedvsr/ca.crt /srv/ca.crt; scp server:/srv/fedvsr/superexec.secret /srv/secret;"
        " mkdir videos; scp server:/srv/in.mp4 videos/in.mp4"
    )
    site(host, "north")  # by the name of another, with a key of its own
    return host


def site(host, name, ca="/srv/ca.crt", server="fedvsr.example.org:9092"):
    host.run(
        f"fedvsr deploy site /srv/{name} --name {name} --data-dir /srv/videos --server {server} --ca {ca}"
    )


def test_a_key_that_is_not_registered(installation, stranger):
    code, said = stranger.run("fedvsr deploy start /srv/north", check=False)
    assert code == 1
    assert "[code: 2004] Failed to activate SuperNode" in said
    assert "No SuperNode found with the given public key" in installation.server.said("superlink")


def test_no_key(installation, stranger):
    start = "flower-supernode --superlink fedvsr.example.org:9092 --root-certificates /srv/ca.crt"
    code, said = stranger.run(start, check=False)
    assert code == 1
    assert "[code: 2001] SuperNode authentication is enabled" in said
    assert "ApiError:2001" in installation.server.said("superlink")


def test_a_server_of_another_authority(installation, stranger):
    stranger.run("fedvsr deploy server /srv/other --host fedvsr.example.org")
    site(stranger, "misled", ca="/srv/other/ca.crt")
    code, said = stranger.run("fedvsr deploy start /srv/misled", check=False)
    assert code == 1
    assert "certificate verify failed" in said.lower().replace("_", " ")


def test_no_encryption(installation, stranger):
    code, said = stranger.run("fedvsr deploy start /srv/north --insecure", check=False, timeout=60)
    assert code != 0
    assert "WARNING: no encryption and no authentication" in said
    assert "400 Bad Request" in said


def test_an_expired_certificate(installation, stranger, monkeypatch):
    monkeypatch.setattr(certificates, "_EARLIER", timedelta(days=10))
    monkeypatch.setattr(certificates, "SERVER_DAYS", -1)
    server = Server.of(installation.server.srv / "fedvsr")
    expired = installation.server.srv / "expired"
    installation.server.run(
        "cp -r fedvsr expired; sed -i 's|/srv/fedvsr|/srv/expired|; s|9092|9192|' expired/nginx.conf"
    )
    certificates.issue(
        expired / "server.key",
        expired / "server.crt",
        authority=(server.authority_key, server.authority),
        hosts=server.hosts,
    )
    installation.server.start("fedvsr deploy start /srv/expired proxy", "expired")
    installation.server.wait_for("starting", "expired")
    site(stranger, "late", server="fedvsr.example.org:9192")
    code, said = stranger.run("fedvsr deploy start /srv/late", check=False)
    assert code == 1
    assert "certificate has expired" in said


def test_the_other_apis_through_the_proxy(installation, stranger):
    asked = "; ".join(
        f"{ASK} --data x 'https://fedvsr.example.org:9092{path}'; echo ' {path}'" for path in CLOSED
    )
    assert stranger.run(asked)[1].splitlines() == [f"403 {path}" for path in CLOSED]
    said = installation.server.said("proxy")
    for path in ("/v1/control/list-runs", "/v1/runtime/acquire-task"):
        assert (
            f'access forbidden by rule, client: {stranger.address}, server: , request: "POST {path}' in said
        )


def test_the_fleet_api_is_asked_in_one_way(stranger):
    url = "https://fedvsr.example.org:9092/v1/fleet/pull-messages"
    assert stranger.run(f"{ASK} {url}")[1] == "403"  # GET
    assert stranger.run(f"{ASK} --data '' {url}")[1] == "401"  # nobody has signed it


def test_the_superlink_itself_is_out_of_reach(stranger):
    assert stranger.run(f"{ASK} --insecure https://server:9093/health", check=False) == (7, "000")


def test_commands_from_outside(installation, stranger):
    commands = (
        "flwr ls federation",
        "flwr supernode register /srv/north/north.pub federation",
        "fedvsr run /srv/source federation",
    )
    shutil.copytree(installation.server.srv / "source", stranger.srv / "source")
    for command in commands:
        code, said = stranger.run(CONNECTION + command, check=False)
        assert code == 1, command
        assert "403 Forbidden" in said.replace("\n", " "), f"{command}: {said}"


def test_a_foreign_superexec(installation, stranger):
    start = "flower-superexec --runtime-api-address {} --root-certificates {}"
    secret = " --superexec-auth-secret-file /srv/secret"  # even with the secret
    start_there = start.format("fedvsr.example.org:9092", "/srv/ca.crt") + secret
    code, said = stranger.run(CONNECTION + start_there, check=False)
    assert code == 1
    assert "403 Forbidden" in said
    # On the server itself, without the secret.
    installation.server.run(start.format("127.0.0.1:9093", "/srv/fedvsr/ca.crt"), check=False, timeout=60)
    assert "SuperExec authentication failed" in installation.server.said("superlink")


def test_the_sites_are_still_there(installation):
    said = installation.server.run("export FLWR_HOME=/srv/fedvsr/home; flwr supernode list federation")[1]
    assert said.count("online") == 2
