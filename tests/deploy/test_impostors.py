"""Promises: a site with a registered key is who its key says, whatever it calls itself and its federation."""

import json

import pytest

from server_app.records.journal import read_journal
from tests.deploy.conftest import LEAST

pytestmark = pytest.mark.slow
SITE = "/srv/fedvsr"
RUN = (
    "FLWR_HOME=/srv/fedvsr/home fedvsr run /srv/source federation --run-config"
    f""" 'experiment="smoke" overrides="rounds=1 {LEAST}"""
    """ cohort.wait_s={}{}"' """
)


@pytest.fixture(scope="module")
def stranger(installation):
    """A third site that was let in under its name, and that says it is north, in a simulation of one."""
    host, server = installation.network["stranger"], installation.server
    host.run(
        "mkdir -p /srv/videos && scp server:/srv/in.mp4 /srv/videos/in.mp4 && scp server:/srv/fedvsr/ca.crt"
        " /srv/ca.crt && fedvsr deploy site /srv/fedvsr --name stranger --data-dir /srv/videos"
        " --server fedvsr.example.org:9092 --ca /srv/ca.crt"
    )
    server.run(
        "scp stranger:/srv/fedvsr/stranger.pub /srv/fedvsr/stranger.pub"
        " && fedvsr deploy register /srv/fedvsr /srv/fedvsr/stranger.pub"
    )
    host.run(f"""sed -i 's/^site = "stranger"/site = "north"/' {SITE}/site.toml""")
    command = host.run(
        f"python -c 'from pathlib import Path; from fedvsr.deploy.processes import supernode; from"
        f' fedvsr.deploy.site import Site; import shlex; print(shlex.join(supernode(Site.of(Path("{SITE}")))'
        ".command))'"
    )[1].strip()
    claims = command.replace("--node-config '", "--node-config 'num-partitions=1 partition-id=0 ")
    assert claims != command
    host.start(f"env FLWR_HOME={SITE}/home {claims}", "impostor")
    host.wait_for("SuperNode ID", "impostor")
    yield host
    host.kill("impostor")


@pytest.fixture
def without_north(installation):
    """North is away."""
    north = installation.network["north"]
    north.kill("site.toml")
    installation.server.run(
        "export FLWR_HOME=/srv/fedvsr/home; until [ $(flwr supernode list federation | grep -c online) = 2 ];"
        " do sleep 2; done",
        timeout=180,
    )
    yield
    north.start(f"fedvsr deploy start {SITE}/site.toml", "site.toml")
    north.wait_for("SuperNode ID", "site.toml")


def newest(installation):
    folder = max((installation.server.srv / "fedvsr/runs").iterdir(), key=lambda path: path.stat().st_mtime)
    return read_journal(folder / "journal.jsonl")


def test_it_cannot_take_a_site_s_place_nor_start_a_run_alone(installation, stranger, without_north):
    code, said = installation.server.run(RUN.format(40, ""), check=False)
    assert code == 1
    assert "left out stranger (identity): it says that it is 'north', but its key is registered as" in said
    assert "2 nodes must take part, 1 do after 40 s" in said
    assert [line["phase"] for line in newest(installation)] == ["end"]


def test_it_cannot_shut_the_site_out(installation, stranger):
    said = installation.server.run(RUN.format(120, " cohort.nodes=2"))[1]
    (line,) = (line for line in newest(installation) if line["phase"] == "train")
    assert {row["client"] for row in line["clients"]} == {"north", "south"}
    assert "left out stranger (identity)" in said
    listed = installation.server.run(
        "FLWR_HOME=/srv/fedvsr/home flwr supernode list federation --format json"
    )[1]
    online = [node for node in json.loads(listed)["nodes"] if node["status"] == "online"]
    assert len(online) == 3  # it was there


def test_the_sites_have_it_on_record(installation):
    for name in ("north", "south"):
        path = installation.network[name].srv / "fedvsr/audit/audit.jsonl"
        events = [(line["event"], line["kind"]) for line in map(json.loads, path.read_text().splitlines())]
        assert events.count(("asked", "train")) == events.count(("sent", "train")) > 0
        assert ("sent", "query") in events
