"""Promises: a site trains on its own folder, a simulated client on its partition, nobody on more."""

import cv2
import numpy as np
import pytest

from client_app import local_data
from client_app.local_data import client_name, local_shots
from fedvsr_core.data.clips import ALL
from fedvsr_core.data.degradation import bicubic_down
from fedvsr_core.data.synthetic import Synthetic, Texture
from fedvsr_core.errors import ConfigurationError, DataError


@pytest.fixture(autouse=True)
def afresh():
    local_data._divided.cache_clear()
    local_data._frame_cache.cache_clear()


@pytest.fixture
def folder(tmp_path):
    """A site's videos: one clip of 3 frames, 16 x 24 pixels."""
    (tmp_path / "film").mkdir()
    for number in range(3):
        frame = np.random.default_rng(number).integers(0, 256, (16, 24, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "film" / f"{number}.png"), frame)
    return tmp_path


@pytest.mark.parametrize(
    ("node_config", "expected"),
    [
        ({"partition-id": 3, "num-partitions": 4}, "partition-3"),
        ({"partition-id": 0, "num-partitions": 4}, "partition-0"),
        ({"site": "clinic", "partition-id": 3}, "clinic"),
    ],
    ids=str,
)
def test_what_a_client_is_called(node_config, expected):
    assert client_name(node_config) == expected


@pytest.mark.parametrize("node_config", [{}, {"data-dir": "/videos"}, {"site": ""}], ids=str)
def test_a_node_without_a_lasting_name_is_refused(node_config):
    with pytest.raises(ConfigurationError, match="must name the 'site', got"):
        client_name(node_config)


def test_partitions_share_out_all_frames(settings):
    parts = [local_shots(settings, {"partition-id": index, "num-partitions": 2}) for index in range(2)]
    names = [[clip.name for clip in clips] for clips in parts]
    assert sum(clip.frames for clips in parts for clip in clips) == 2 * 4  # clips x frames
    assert not set(names[0]) & set(names[1])


def test_clips_come_with_their_low_resolution_frames(settings):
    for shot in local_shots(settings, {"partition-id": 0, "num-partitions": 2}):
        np.testing.assert_array_equal(shot.low[ALL], bicubic_down(shot.high[ALL]))


def test_clips_are_listed_and_decoded_once(settings, monkeypatch):
    node = {"partition-id": 0, "num-partitions": 2}
    before = [shot.high[ALL] for shot in local_shots(settings, node)]
    monkeypatch.setattr(Synthetic, "train", None)  # to list or decode again would fail
    monkeypatch.setattr(Texture, "__getitem__", None)
    for shot, high in zip(local_shots(settings, node), before, strict=True):
        assert np.shares_memory(shot.high[ALL], high)


def test_what_does_not_fit_into_memory_is_decoded_anew(settings, caplog):
    node = {"partition-id": 0, "num-partitions": 2, "memory-mb": 0.001}
    (shot,) = local_shots(settings, node)
    assert not np.shares_memory(shot.high[ALL], shot.high[ALL])
    np.testing.assert_array_equal(shot.high[ALL], shot.high[ALL])
    assert "'fedvsr data prepare' makes a clip store" in caplog.text


@pytest.mark.parametrize(
    ("change", "node"),
    [
        ({}, {"partition-id": 1, "num-partitions": 2}),
        ({}, {"partition-id": 0, "num-partitions": 1}),
        ({"seed": 9}, {"partition-id": 0, "num-partitions": 2}),
    ],
    ids=["partition", "partitions", "data"],
)
def test_other_clips_are_prepared_for_other_settings(settings, change, node):
    before = local_shots(settings, {"partition-id": 0, "num-partitions": 2})
    other = settings.model_copy(update={"data": {**settings.data, **change}})
    assert local_shots(other, node) is not before
    assert [shot.high[ALL].tobytes() for shot in local_shots(other, node)] != [
        shot.high[ALL].tobytes() for shot in before
    ]


def test_a_sites_folder_wins_over_the_shared_dataset(settings, folder):
    (clip,) = local_shots(settings, {"data-dir": str(folder), "partition-id": 0, "num-partitions": 2})
    assert clip.high.shape == (3, 16, 24, 3)
    assert clip.low.shape == (3, 4, 6, 3)


def test_a_folder_without_videos(settings, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        local_shots(settings, {"data-dir": str(tmp_path)})


@pytest.mark.parametrize("node_config", [{}, {"partition-id": 0}, {"num-partitions": 2}], ids=str)
def test_a_node_without_data(settings, node_config):
    sentence = "^the node configuration must have 'data-dir', or 'partition-id' and 'num-partitions'; start"
    with pytest.raises(ConfigurationError, match=sentence):
        local_shots(settings, node_config)
