"""A SuperLink and two SuperNodes on this machine, each with a folder of videos of its own."""

import os
import socket
import subprocess
import time

import pytest

from tests.engine.watching import watched
from tests.videos import write_videos

pytestmark = pytest.mark.slow
LIMIT_S = 120
WINDOW = 5
OVERRIDES = "rounds=2 training.batch=2 data.frames=8 data.height=16 data.width=16"
SITES = {"north": [12], "south": [8, 10]}  # frames of each video


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, start_federation):
    """The federation, up and waiting for runs."""
    federation = start_federation(tmp_path_factory.mktemp("deployment").resolve(), superlink="loopback")
    port = federation.environment["FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"]
    connection = f'[superlink.loopback]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    (federation.home / "config.toml").write_text(f'[superlink]\ndefault = "loopback"\n\n{connection}')
    here = ("--insecure", "--host", "127.0.0.1", "--port")
    start(federation, "superlink", "flower-superlink", *here, port)
    wait_for_listener(int(port))
    for name, lengths in SITES.items():
        data = federation.root / name / "videos"
        write_videos(data, lengths, seed=len(name) + lengths[0])
        to = ("--superlink", f"127.0.0.1:{port}", "--node-config", f'site="{name}" data-dir="{data}"')
        start(federation, name, "flower-supernode", *here, str(federation.free_port()), *to)
    yield federation
    federation.close()  # idle nodes cost the other tests time


@pytest.fixture(scope="module")
def run(deployment, app):
    """A run of two rounds, at its end."""
    return deployment.submit(app, overrides=OVERRIDES, federation="").finish()


def start(federation, name, *command):
    """Start a process of the deployment, in a home of its own; `Federation.close` ends it."""
    home = federation.root / name / "home"
    home.mkdir(parents=True)
    with (federation.root / name / "said.log").open("wb") as said:
        subprocess.Popen(
            command,
            env={**os.environ, **federation.environment, "FLWR_HOME": str(home)},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def wait_for_listener(port):
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, f"nobody listens on port {port}"
            time.sleep(0.1)
        else:
            return


def test_sites_train_on_their_own_folders(run):
    examples = {name: sum(frames - WINDOW + 1 for frames in lengths) for name, lengths in SITES.items()}
    assert sorted(run.trained()) == [1, 2]
    for line in run.trained().values():
        assert {row["client"]: row["examples"] for row in line["clients"]} == examples
        assert line["refused"] == []
        assert not line["kept-model"]
    assert run.done == 2
    assert run.checkpoint("round-0001.safetensors") != run.checkpoint()
    assert "2 clients: north, south" in run.dir.log.read_text()


def test_the_server_learns_no_path_of_a_site(run):
    texts = (".jsonl", ".json", ".yaml", ".md", ".log", ".html")
    left = [path for path in run.dir.path.rglob("*") if path.suffix in texts]
    assert {"journal.jsonl", "config.yaml", "summary.md", "run.log", "report.html"} <= {
        path.name for path in left
    }
    for path in left:
        assert str(run.federation.root / "north") not in path.read_text(), path


def test_a_run_is_watched_on_the_superlinks_machine(deployment, app, tmp_path):
    run = deployment.submit(app, overrides=OVERRIDES.replace("rounds=2", "rounds=8"), federation="")
    run.wait_until(lambda: run.dir.journal.exists(), "the journal")
    with watched(run.dir, tmp_path / "watching") as seen:
        seen.says("of 8 rounds", "Running")
        seen.terminal_says("running", "north", "south")
        run.finish()
        seen.says("8 of 8 rounds", "Completed")
        seen.terminal_says("completed", "round 8 of 8", "ended with 0")
        assert seen.page.complaints == []
