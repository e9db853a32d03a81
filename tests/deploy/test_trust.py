"""Promises: operators see what is wrong and what came of a run; a site runs the code it pinned, no other."""

import json

import pytest

from server_app.checkpoints import LAST, load_round
from tests.deploy.conftest import LEAST

pytestmark = pytest.mark.slow
SITE = "/srv/fedvsr"
RUN = (
    "FLWR_HOME=/srv/fedvsr/home fedvsr run {} federation --run-config"
    f""" 'experiment="smoke" overrides="rounds=1 {LEAST}"""
    """ cohort.nodes=2 cohort.wait_s=60"' """
)
APPS = f"{SITE}/home/apps"
READ_ONLY = (  # as the unit mounts it
    f"bash -c 'mount --bind {APPS} {APPS} && mount -o remount,ro,bind {APPS}"
    f" && exec fedvsr deploy start {SITE}/site.toml'"
)


def problems(said):
    return [line for line in said.splitlines() if line.startswith("problem")]


@pytest.mark.parametrize("name", ["server", "north", "south"])
def test_a_sound_machine_has_no_problem(installation, name):
    code, said = installation.network[name].run(f"fedvsr doctor {SITE}", check=False)
    assert problems(said) == []
    assert code == 0
    assert " knows the key " in said or "neither control nor runtime" in said


def test_a_site_that_nobody_has_let_in_is_told_so(installation):
    stranger = installation.network["stranger"]
    stranger.run(
        "mkdir -p /srv/videos && scp server:/srv/fedvsr/ca.crt /srv/ca.crt && fedvsr deploy site /srv/fedvsr"
        " --name stranger --data-dir /srv/videos --server fedvsr.example.org:9092 --ca /srv/ca.crt"
    )
    code, said = stranger.run(f"fedvsr doctor {SITE}", check=False)
    assert code == 1
    assert any("doesn't know the key" in line for line in problems(said))


def test_runs_are_listed(installation):
    runs = json.loads(installation.server.run("fedvsr runs /srv/fedvsr/runs --json")[1])
    assert runs[0]["state"] == "completed"
    assert runs[0]["best"]["protocol"]["name"]


@pytest.fixture
def pinned(installation):
    """North with the server's code as its pin, and no way to install any other; afterwards as it was."""
    north, server = installation.network["north"], installation.server
    digest = server.run("fedvsr code /srv/source")[1].strip()
    server.run("cd /srv && FLWR_HOME=/srv/fedvsr/home flwr build --app /srv/source")
    (bundle,) = server.srv.glob("*.fab")
    north.kill("site.toml")
    north.run(
        f"cp {SITE}/site.toml /srv/before.toml && rm -rf {APPS} && scp server:/srv/{bundle.name} /srv/"
        f""" && echo 'code = "{digest}"' >> {SITE}/site.toml && fedvsr deploy site {SITE}"""
        f" && fedvsr deploy install {SITE} /srv/{bundle.name}"
    )
    north.start(READ_ONLY, "pinned")
    north.wait_for("SuperNode ID", "pinned")
    yield north
    north.kill("pinned")
    north.run(f"cp /srv/before.toml {SITE}/site.toml")
    north.start(f"fedvsr deploy start {SITE}/site.toml", "site.toml")


def test_the_pinned_code_runs_and_no_other(installation, pinned):
    server = installation.server
    server.run(RUN.format("/srv/source"))
    newest = sorted((server.srv / "fedvsr/runs").iterdir())[-1]
    assert load_round(newest / "checkpoints" / LAST).round == 1

    server.run("cp -r /srv/source /srv/other && echo '# one line more' >> /srv/other/client_app/app.py")
    code, said = server.run(RUN.format("/srv/other"), check=False)
    assert code == 1
    assert "Read-only file system" in said
    assert "1 do after 60 s" in said  # south takes whatever comes
