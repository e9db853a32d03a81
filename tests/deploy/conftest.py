"""A server and two sites, set up by the commands of deploy/README.md as they stand there."""

import json
import shutil
from pathlib import Path

import pytest

from tests.deploy.recipe import steps
from tests.network import Network, missing
from tests.videos import write_video, write_videos

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("client_app", "conf", "fedvsr_core", "server_app")
FRAMES = {"north": [12], "south": [8, 10]}  # of each video
LEAST = "model.width=8 model.blocks=1 training.steps=20 training.batch=2"
"""As little as the limits of a new site allow."""
TINY = f"rounds=2 {LEAST} data.frames=8 data.height=16 data.width=16"
SAYS = {  # what tells that a process is ready
    "superlink": "Application startup complete",
    "superexec": "Starting Flower SuperExec",
    "proxy": "starting",
    "site.toml": "Starting Flower SuperNode",
}


class Installation:
    """What the recipe has made, and all that it said on the way."""

    def __init__(self, network):
        self.network = network
        self.said = {}

    def follow(self):
        """Do what the recipe says, in its order."""
        for step in steps():
            host = self.network[step.host]
            for number, script in enumerate(_lines(step)):
                if step.stays:
                    name = script.split()[-1].rpartition("/")[2]
                    host.start(script, name)
                    host.wait_for(SAYS[name], name)
                else:
                    self.said[step, number] = host.run(_tiny(script))[1]

    @property
    def server(self):
        return self.network["server"]


def _lines(step):
    return step.script.splitlines() if step.stays else [step.script]


def _tiny(script):
    """The same with less to do."""
    words = json.dumps(f'experiment="smoke" overrides="{TINY}"').replace("$", "")
    return "\n".join(
        f"{line} --run-config '{json.loads(words)}'" if line.startswith("fedvsr run ") else line
        for line in script.splitlines()
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A server, two sites and a stranger, as the recipe finds them: with the app and with videos."""
    if reason := missing():
        pytest.skip(reason)
    root = tmp_path_factory.mktemp("network").resolve()
    made = Network(root, ("server", "north", "south", "stranger"), {"server": ("fedvsr.example.org",)})
    try:
        source = made["server"].srv / "source"
        for name in PACKAGES:
            shutil.copytree(
                REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "local")
            )
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(REPOSITORY / name, source)
        for name, lengths in FRAMES.items():
            write_videos(made[name].srv / "videos", lengths, seed=len(name))
        write_video(made["server"].srv / "in.mp4", 3, seed=1)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def installation(network):
    """After the last line of the recipe."""
    made = Installation(network)
    made.follow()
    return made
