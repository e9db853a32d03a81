"""One client that trains a tiny network on clips made in code."""

import pytest
from flwr.app import Context, RecordDict

from server_app.config import compose

TINY = (
    "model.width=4 model.blocks=1 data.clips=2 data.held_out_clips=1 data.frames=4 data.height=8 data.width=8"
    " partition.min_frames=2 partition.min_size=16"
    " training.steps=2 training.batch=2 training.window=3 training.patch=4"
)


@pytest.fixture
def settings():
    """What the server sends: a tiny network, clips of 4 frames of 8 x 8 pixels."""
    return compose({"data": "synthetic", "overrides": TINY}).for_clients()


@pytest.fixture
def context():
    """A node with a partition, or with whatever else is given."""

    def make(node=7, **node_config):
        config = {name.replace("_", "-"): value for name, value in node_config.items()}
        return Context(1, node, config or {"partition-id": 0, "num-partitions": 2}, RecordDict(), {})

    return make
