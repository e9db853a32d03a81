"""Promises: every pixel belongs to exactly one client, in equal contiguous parts, for any number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.data.partition import Equal
from fedvsr_core.data.sample import Sample
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError

SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(4, 9), st.integers(4, 9)), min_size=1, max_size=4)


def numbered(sizes, scale=2):
    """Shots whose every pixel has its own number, counting through all shots."""
    shots, first = [], 0
    for index, (frames, height, width) in enumerate(sizes):
        height, width = height * scale, width * scale
        pixels = np.arange(first, first + frames * height * width).reshape(frames, height, width, 1)
        shots.append(Shot(f"shot-{index}", frames, height, width, lambda pixels=pixels: pixels))
        first += pixels.size
    return shots, first


@settings(deadline=None)
@given(sizes=SIZES, num_clients=st.integers(1, 40), min_frames=st.integers(1, 3))
def test_every_pixel_once_and_nobody_empty(sizes, num_clients, min_frames):
    shots, total = numbered(sizes)
    try:
        parts = Equal(min_frames=min_frames, min_size=2, scale=2)(shots, num_clients)
    except DataError as error:
        assert "take fewer clients or more video" in str(error)  # noqa: PT017 (a law with an exception)
        return
    assert len(parts) == num_clients
    assert all(sum(shot.frames for shot in part) >= min_frames for part in parts)
    seen = [shot.clip().high for part in parts for shot in part]
    assert sorted(np.concatenate([pixels.ravel() for pixels in seen]).tolist()) == list(range(total))
    assert len({shot.name for part in parts for shot in part}) == len(seen)


@settings(deadline=None)
@given(sizes=SIZES, num_clients=st.integers(1, 20))
def test_parts_are_equal_and_as_large_as_they_say(sizes, num_clients):
    shots, _ = numbered(sizes)
    try:
        parts = Equal(min_frames=1, min_size=2, scale=2)(shots, num_clients)
    except DataError:
        return
    frames = [sum(shot.frames for shot in part) for part in parts]
    assert max(frames) - min(frames) <= 1
    for shot in (shot for part in parts for shot in part):
        assert shot.clip().high.shape[:3] == (shot.frames, shot.height, shot.width)
        assert shot.height % 2 == shot.width % 2 == 0


def test_by_hand():
    # 5 + 3 frames for 3 clients: edges 0, 8 // 3 = 2, 16 // 3 = 5, 8. The second ends with the first shot.
    shots, _ = numbered([(5, 4, 4), (3, 4, 4)])
    parts = Equal(min_frames=2, min_size=2, scale=2)(shots, 3)
    assert [[shot.name for shot in part] for part in parts] == [["shot-0[0:2]"], ["shot-0[2:5]"], ["shot-1"]]


def test_too_few_frames_make_tiles():
    # 8 clients of 2 frames need 16, there are 4: 2 x 2 tiles make 16. Two clients share each.
    shots, _ = numbered([(4, 5, 4)])
    parts = Equal(min_frames=2, min_size=4, scale=2)(shots, 8)
    assert [[shot.name for shot in part] for part in parts[:3]] == [
        ["shot-0[0:4,0:4][0:2]"],
        ["shot-0[0:4,0:4][2:4]"],
        ["shot-0[0:4,4:8][0:2]"],
    ]
    assert parts[-1][0].name == "shot-0[4:10,4:8][2:4]"


def test_parts_are_views():
    shots, _ = numbered([(4, 5, 4)])
    whole = shots[0].clip().high
    assert all(
        np.shares_memory(whole, part[0].clip().high)
        for part in Equal(min_frames=2, min_size=4, scale=2)(shots, 8)
    )


@pytest.mark.parametrize("num_clients", [1, 2, 4, 10, 40, 240])
def test_sample_serves_any_usual_number(num_clients):
    parts = Equal(min_frames=8, min_size=64, scale=4)(Sample(scale=4).train(), num_clients)
    assert len(parts) == num_clients
    assert min(sum(shot.frames for shot in part) for part in parts) >= 8
    assert min(min(shot.height, shot.width) for part in parts for shot in part) >= 64


def test_refuses_too_many_clients_by_name():
    shots, _ = numbered([(4, 4, 4)])
    with pytest.raises(
        DataError, match=r"90 clients .* need 5x5 tiles .* 'shot-0' \(8x8\) would be smaller than 4"
    ):
        Equal(min_frames=1, min_size=4, scale=2)(shots, 90)


@pytest.mark.parametrize(("count", "num_clients"), [(0, 2), (1, 0)])
def test_refuses_nothing_to_divide(count, num_clients):
    shots, _ = numbered([(4, 4, 4)] * count) if count else ([], 0)
    with pytest.raises(DataError, match="expected frames and clients"):
        Equal(min_frames=1, min_size=4, scale=2)(shots, num_clients)
