"""Promises: every dataset, degradation and partition of conf/ builds and does what the clients ask of it."""

import pytest

from fedvsr_core.components import build
from fedvsr_core.config import compose, options
from fedvsr_core.data.degradation import with_low


def composed(tmp_path, **choices):
    overrides = [f"{group}={option}" for group, option in choices.items()]
    if choices.get("data") == "videos":
        overrides.append(f"data.folder='{tmp_path}'")
    return compose({"overrides": " ".join(overrides)})


@pytest.mark.parametrize("group", ["data", "degradation", "partition"])
def test_there_are_options(group):
    assert options(group)


@pytest.mark.parametrize("data", options("data"))
@pytest.mark.parametrize("partition", options("partition"))
def test_shots_are_divided(tmp_path, noise, write_video, data, partition):
    write_video(tmp_path / "a.mkv", noise)
    settings = composed(tmp_path, data=data, partition=partition)
    shots = build(settings.data).train()
    parts = build(settings.partition, min_frames=3)(shots, 2)
    assert len(parts) == 2
    assert sum(shot.frames for part in parts for shot in part) == sum(shot.frames for shot in shots)
    assert all(shot.height % 4 == shot.width % 4 == 0 for shot in shots)


@pytest.mark.parametrize("degradation", options("degradation"))
def test_degradations_shrink_by_their_scale(tmp_path, degradation):
    settings = composed(tmp_path, data="synthetic", degradation=degradation)
    degrade = build(settings.degradation)
    clip = with_low(build(settings.data).train()[0].clip(), degrade)
    low, high = clip.low.shape, clip.high.shape
    assert (low[1] * degrade.scale, low[2] * degrade.scale) == high[1:3]
