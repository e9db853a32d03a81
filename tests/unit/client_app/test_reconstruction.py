"""Promises: what a hostile server recovers from one reply without limits, a site with the defaults declines.

The attack keeps to the code that the site has pinned; it chooses nothing but settings and weights. One step
on one window of 4 x 4 pixels, a huge eps and plain descent make an update linear in what the network gets
wrong. The network is sent such that its features don't depend on the video, only on the place, and differ
from place to place, as zeros beyond the border tell them apart. So the last convolution's update is a linear
map of the high-frequency layer of the crop, high less bicubic(low), and is solved for it.
"""

import json
import logging

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app.app import app
from client_app.local_data import local_shots
from fedvsr.deploy.site import Site, site_text
from fedvsr_core.components import build
from fedvsr_core.data.loaders import to_float
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_arrays, to_record
from fedvsr_core.layers.bicubic import bicubic_up
from server_app.config import compose

PATCH, SCALE, LR, EPS = 4, 4, 1e6, 1e12
ATTACK = (
    f"model.width=8 training.steps=1 training.batch=1 training.window=1 training.patch={PATCH}"
    f" training.augment=[] optimiser=sgd optimiser.lr={LR} loss.parts.charbonnier.loss.eps={EPS}"
)
PIXELS = 3 * (SCALE * PATCH) ** 2


@pytest.fixture
def settings():
    return compose({"strategy": "fedavg", "overrides": ATTACK}).for_clients()


@pytest.fixture
def folder(tmp_path):
    """One picture of 16 x 16 pixels: the only crop that there is."""
    clip = tmp_path / "videos" / "clip"
    clip.mkdir(parents=True)
    picture = np.random.default_rng(1).integers(0, 256, (SCALE * PATCH, SCALE * PATCH, 3), dtype=np.uint8)
    assert cv2.imwrite(str(clip / "0.png"), picture)
    return clip.parent


@pytest.fixture
def network(settings):
    """The network as a hostile server sends it."""
    torch.manual_seed(0)
    model = build(settings.model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("enter.weight"):
                parameter.zero_()  # nothing of the video
            elif not name.startswith("residual"):
                parameter.copy_(0.5 * torch.randn_like(parameter))
    return model


@pytest.fixture
def answer(settings, network, context):
    """What a node answers to the attack."""

    def ask(node_config):
        config = ConfigRecord({keys.SERVER_ROUND: 1, keys.SETTINGS: settings.model_dump_json()})
        content = RecordDict({keys.ARRAYS: to_record(network.state_dict()), keys.CONFIG: config})
        node = context(site="north", data_dir="/")
        node.node_config.clear()
        node.node_config.update(node_config)
        return app(Message(content, 7, MessageType.TRAIN), node)

    return ask


def recovered(reply, network):
    """The high-frequency layer (3, 16, 16) of the crop, from the update of the last convolution."""
    features = []
    network.residual.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    with torch.no_grad():
        network(torch.zeros(1, 1, 3, PATCH, PATCH))
    by_place = F.unfold(features[0], 3, padding=1)[0].T.double().numpy()  # (16, 9 * width)
    arrays = to_arrays(reply.content[keys.ARRAYS])
    update = arrays["residual.weight"].reshape(48, -1).astype(np.float64)  # from zero
    # update = -lr * gradient = lr * (high - bicubic) / sqrt(eps) / pixels * features
    per_place = update @ np.linalg.pinv(by_place) * (np.sqrt(EPS) * PIXELS / LR)  # (48, 16)
    return F.pixel_shuffle(torch.from_numpy(per_place).view(1, 48, PATCH, PATCH), SCALE)[0].numpy()


def test_without_limits_the_detail_of_a_patch_is_recovered(answer, network, settings, folder):
    node_config = {"site": "north", "data-dir": str(folder), "device": "cpu"}
    reply = answer(node_config)
    (shot,) = local_shots(settings, node_config)
    low, high = (
        to_float(torch.from_numpy(np.array(pixels[:, :, :])).permute(0, 3, 1, 2), torch.device("cpu"))
        for pixels in (shot.low, shot.high)
    )
    truth = (high - bicubic_up(low, SCALE))[0].double().numpy()
    assert np.abs(truth).max() > 0.2
    assert 255 * np.abs(recovered(reply, network) - truth).max() < 0.05  # of a grey level


def test_a_site_with_the_defaults_declines_and_has_it_on_record(answer, folder, tmp_path, caplog):
    site = Site.parse(site_text("north", folder, "host:9092", None), tmp_path / "site.toml")
    with caplog.at_level(logging.WARNING, "client_app"):
        reply = answer({**site.node_config(), "device": "cpu"})
    assert {name: dict(record) for name, record in reply.content.items()} == {"about": {"declined": "limits"}}
    assert "declined (limits): 'least-patch' is 16, but training.patch is 4" in caplog.text
    asked, declined = map(json.loads, (tmp_path / "audit" / "audit.jsonl").read_text().splitlines())
    assert (asked["event"], asked["kind"], asked["config"]) == ("asked", "train", {"server-round": 1})
    assert (declined["event"], declined["word"]) == ("declined", "limits")
    assert declined["reason"] == "'least-patch' is 16, but training.patch is 4"
