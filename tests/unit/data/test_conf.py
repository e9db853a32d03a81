"""Promises: every dataset, degradation and partition of conf/ builds and does what the clients ask of it."""

import numpy as np
import pytest

from fedvsr_core.components import build
from fedvsr_core.data.clips import ALL
from fedvsr_core.data.shots import Shot
from server_app.config import compose, options

TO_TEST_ON = ("vid4", "udm10", "spmcs")
MADE = ("sample", "synthetic")
LABELLED = [
    Shot(f"{label}/{number}", np.full((9, 96, 96, 3), number, np.uint8), label=label)
    for label in "ab"
    for number in range(6)
]


def composed(fake, data, *overrides):
    if data == "kinetics":
        to_score = fake("vid4")
        overrides = (
            *overrides,
            f"data.to_train.folder='{fake(data)}'",
            f"data.held_out_folder='{to_score}'",
        )
    elif data == "pairs":
        folder = fake(data)
        overrides = (*overrides, f"data.folder='{folder}/high' data.low_folder='{folder}/low'")
    elif data not in MADE:
        overrides = (*overrides, f"data.folder='{fake(data)}'")
    return compose({"data": data, "overrides": " ".join(overrides)})


@pytest.mark.parametrize("group", ["data", "degradation", "partition"])
def test_there_are_options(group):
    assert options(group)


@pytest.mark.parametrize("data", options("data"))
def test_data_has_clips_of_its_two_kinds(fake, data):
    dataset = build(composed(fake, data).data)
    to_train, held_out = dataset.train(), dataset.held_out()
    assert bool(to_train) == (data not in TO_TEST_ON)
    assert bool(held_out) == (data not in ("videos", "pairs", "store"))
    shots = to_train + held_out
    assert len({shot.name for shot in shots}) == len(shots)
    for shot in shots:
        assert shot.height % 4 == shot.width % 4 == 0
        assert shot.high[0:1, 0:4, 0:8].shape == (1, 4, 8, 3)


@pytest.mark.parametrize("partition", options("partition"))
def test_partitions_share_out_all_clips(partition):
    settings = compose({"data": "synthetic", "overrides": f"partition={partition} training.window=3"})
    parts = build(settings.partition)(LABELLED, 2)
    assert sorted(shot.name for part in parts for shot in part) == sorted(shot.name for shot in LABELLED)
    assert all(parts)


@pytest.mark.parametrize("degradation", options("degradation"))
def test_degradations_shrink_by_their_scale(degradation):
    settings = compose({"data": "synthetic", "overrides": f"degradation={degradation}"})
    degrade = build(settings.degradation)
    assert degrade == build(settings.degradation)
    assert hash(degrade) == hash(build(settings.degradation))
    shot = build(settings.data).train()[0].degraded(degrade)
    low = shot.low[ALL]
    assert low.dtype == np.uint8
    assert low.shape == shot.low.shape == (16, 24, 32, 3)
    np.testing.assert_array_equal(shot.low[ALL], low)
