"""Promises: a secure round of real processes loses who is killed, at whatever stage, and nothing else."""

import pytest

from fedvsr.deploy.node_keys import make_node_key
from tests.engine.conftest import with_client
from tests.engine.test_deployment import start, wait_for_listener
from tests.videos import write_videos

pytestmark = pytest.mark.long
SITES = ("east", "north", "south", "west")
STAGES = ("keys", "shares", "train", "scalars", "vector", "unmask")
RUN_S = 1800


@pytest.fixture(scope="module")
def run(tmp_path_factory, start_federation, app):
    """A round for each stage, in which one of four sites is killed at that stage, and one more."""
    federation = start_federation(tmp_path_factory.mktemp("secure").resolve(), superlink="loopback")
    killed = with_client(app, tmp_path_factory.mktemp("killed") / "fedvsr", "killed_client")
    port = federation.environment["FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"]
    connection = f'[superlink.loopback]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    (federation.home / "config.toml").write_text(f'[superlink]\ndefault = "loopback"\n\n{connection}')
    here = ("--insecure", "--host", "127.0.0.1", "--port")
    start(federation, "superlink", "flower-superlink", *here, port)
    wait_for_listener(int(port))
    peers = federation.root / "peers.txt"
    for name in SITES:
        make_node_key(federation.root / f"{name}.key", federation.root / f"{name}.pub", name)
        with peers.open("a") as file:
            file.write(f"{name} {(federation.root / f'{name}.pub').read_text()}")
    for name in SITES:
        data = federation.root / name / "videos"
        write_videos(data, [12], seed=len(name))
        config = f'site="{name}" data-dir="{data}" secure=true peers="{peers}"'
        config += f' key="{federation.root / name}.key"'
        to = ("--superlink", f"127.0.0.1:{port}", "--node-config", config)
        start(federation, name, "flower-supernode", *here, str(federation.free_port()), *to)
    federation.faults({number: {"west": stage} for number, stage in enumerate(STAGES, start=1)})
    overrides = (
        f"secure.enabled=true rounds={len(STAGES) + 1} cohort.nodes=4 training.steps=1 training.batch=1"
        " data.frames=8 data.height=16 data.width=16"
    )
    yield federation.submit(killed, overrides=overrides, federation="").finish(limit_s=RUN_S)
    federation.close()


def test_who_is_killed_is_left_out_of_that_round_alone(run):
    trained = run.trained()
    for number, stage in enumerate(STAGES, start=1):
        line = trained[number]
        assert [(refusal["client"], refusal["code"]) for refusal in line["refused"]] == [("west", "error")]
        assert not line["kept-model"]
        counted = {row["client"] for row in line["clients"]}
        assert counted == set(SITES) - (set() if stage == "unmask" else {"west"}), stage
        gone = [each["stage"] for each in line["secure"]["stages"] if each["answered"] < each["asked"]]
        assert gone == [stage]
    last = trained[len(STAGES) + 1]
    assert last["refused"] == []
    assert last["secure"]["sums"]["clients"] == len(SITES)


def test_nothing_of_a_single_site_is_on_record(run):
    for line in run.trained().values():
        assert all(set(row) == {"client"} for row in line["clients"])
    assert "## Secure aggregation" in run.dir.summary.read_text()
