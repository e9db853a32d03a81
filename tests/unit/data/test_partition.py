"""Promises: every pixel belongs to exactly one client, clips stay whole where they can, nobody is empty."""

from itertools import chain, cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.data.camera import GaussianNoise, Shrink
from fedvsr_core.data.partition import ByDegradation, ByLabel, Dirichlet, Equal, Exponential
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
        shots.append(Shot(f"shot-{index}", pixels))
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
    assert all(parts)
    if num_clients > len(shots):
        assert all(sum(shot.frames for shot in part) >= min_frames for part in parts)
    seen = [shot.clip().high for part in parts for shot in part]
    assert sorted(np.concatenate([pixels.ravel() for pixels in seen]).tolist()) == list(range(total))
    assert len({shot.name for part in parts for shot in part}) == len(seen)


@settings(deadline=None)
@given(sizes=SIZES, num_clients=st.integers(1, 20))
def test_pieces_are_equal_and_as_large_as_they_say(sizes, num_clients):
    shots, _ = numbered(sizes)
    try:
        parts = Equal(min_frames=1, min_size=2, scale=2)(shots, num_clients)
    except DataError:
        return
    frames = [sum(shot.frames for shot in part) for part in parts]
    assert num_clients <= len(shots) or max(frames) - min(frames) <= 1
    for shot in (shot for part in parts for shot in part):
        assert shot.clip().high.shape[:3] == (shot.frames, shot.height, shot.width)
        assert shot.height % 2 == shot.width % 2 == 0


CLIPS = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["a", "b", "c"])), min_size=1, max_size=30)
WHOLE = {
    "equal": Equal(min_frames=1, min_size=2, scale=2),
    "exponential": Exponential(alpha=0.1),
    "by-label": ByLabel(),
    "dirichlet": Dirichlet(alpha=1.0, seed=3),
    "by-degradation": ByDegradation(
        clips=Equal(min_frames=1, min_size=2, scale=2), steps={"shrink": Shrink()}, scale=2, seed=0
    ),
}


@settings(deadline=None)
@pytest.mark.parametrize("partition", WHOLE.values(), ids=WHOLE)
@given(clips=CLIPS, num_clients=st.integers(1, 8))
def test_whole_clips_each_once_stable_and_nobody_empty(partition, clips, num_clients):
    shots = [
        Shot(f"{number}", np.zeros((frames, 4, 4, 3), np.uint8), label=label)
        for number, (frames, label) in enumerate(clips)
    ]
    if num_clients > len(shots):
        return
    try:
        parts = partition(shots, num_clients)
    except DataError as error:
        assert "would get no clip" in str(error)  # noqa: PT017 (a law with an exception)
        assert "take" in str(error)  # noqa: PT017
        return
    assert len(parts) == num_clients
    assert all(parts)
    names = [[shot.name for shot in part] for part in parts]
    assert sorted(chain.from_iterable(names)) == sorted(shot.name for shot in shots)
    assert names == [[shot.name for shot in part] for part in partition(list(shots), num_clients)]


def whole(frames, labels="x"):
    return [
        Shot(f"{number}", np.zeros((count, 4, 4, 3), np.uint8), label=label)
        for number, (count, label) in enumerate(zip(frames, cycle(labels), strict=False))
    ]


def names_of(parts):
    return ["".join(shot.name for shot in part) for part in parts]


def test_whole_clips_by_hand():
    # Nine frames for three: boundaries at 3 and 6, the nearest ends of clips are 3 (of 0 2 3 5 9) and 5.
    assert names_of(WHOLE["equal"](whole([2, 1, 2, 4]), 3)) == ["01", "2", "3"]
    # One long clip: both boundaries fall into it, and still everybody gets one.
    assert names_of(WHOLE["equal"](whole([1, 9, 1]), 3)) == ["0", "1", "2"]


def test_forty_clients_share_reds():
    parts = WHOLE["equal"](whole([100] * 236), 40)
    assert {len(part) for part in parts} == {5, 6}


def test_exponential_by_hand():
    # alpha = ln 2: shares 1, 2, 4 of 7 frames.
    assert names_of(Exponential(alpha=np.log(2))(whole([1] * 7), 3)) == ["0", "12", "3456"]
    with pytest.raises(DataError, match=r"client 0, 1 of 3 would get no clip; take a smaller alpha"):
        Exponential(alpha=5)(whole([1] * 7), 3)


def test_by_label_by_hand():
    clips = whole([1] * 6, "abc")  # a: 0 3, b: 1 4, c: 2 5
    assert names_of(ByLabel()(clips, 3)) == ["03", "14", "25"]
    assert names_of(ByLabel()(clips, 2)) == ["0314", "25"]
    assert names_of(ByLabel()(clips, 6)) == ["0", "3", "1", "4", "2", "5"]
    with pytest.raises(DataError, match=r"client .* of 7 would get no clip"):
        ByLabel()(clips, 7)


def test_dirichlet_goes_from_one_label_each_to_all_alike():
    clips = whole([1] * 400, "ab")

    def largest_share(alpha):
        parts = Dirichlet(alpha=alpha, seed=1)(clips, 4)
        counts = [sum(shot.label == "a" for shot in part) for part in parts]
        return max(counts) / sum(counts)

    assert largest_share(1000.0) < 0.3 < largest_share(0.3)
    assert names_of(Dirichlet(alpha=1.0, seed=1)(clips, 2)) != names_of(
        Dirichlet(alpha=1.0, seed=2)(clips, 2)
    )


@pytest.mark.parametrize(
    "partition", [ByLabel(), Dirichlet(alpha=1.0, seed=0)], ids=["by-label", "dirichlet"]
)
def test_refuses_clips_without_labels(partition):
    with pytest.raises(DataError, match="clip 'shot-0' has no label; take a dataset with labels"):
        partition(numbered([(2, 4, 4)] * 2)[0], 2)


def test_each_client_has_a_camera_of_its_own():
    steps = {"shrink": Shrink(), "noise": GaussianNoise((0.0, 20.0))}
    equal = Equal(min_frames=1, min_size=2, scale=2)
    parts = ByDegradation(clips=equal, steps=steps, scale=2, seed=0)(whole([1] * 6), 3)
    cameras = [{shot.degradation for shot in part} for part in parts]
    assert [len(camera) for camera in cameras] == [1, 1, 1]
    assert len({camera.parameter("noise", "any clip") for (camera,) in cameras}) == 3


def test_by_hand():
    # 5 + 3 frames for 3 clients: edges 0, 8 // 3 = 2, 16 // 3 = 5, 8. The second ends with the first shot.
    shots, _ = numbered([(5, 4, 4), (3, 4, 4)])
    parts = Equal(min_frames=2, min_size=2, scale=2)(shots, 3)
    assert [[shot.name for shot in part] for part in parts] == [["shot-0[0:2]"], ["shot-0[2:5]"], ["shot-1"]]


def test_too_few_frames_make_tiles():
    # 8 clients of 2 frames need 16, there are 4 of 10 x 8 pixels: tiles of 4 pixels and more make 2 x 2.
    shots, _ = numbered([(4, 5, 4)])
    parts = Equal(min_frames=2, min_size=4, scale=2)(shots, 8)
    assert [[shot.name for shot in part] for part in parts[:3]] == [
        ["shot-0[0:4,0:4][0:2]"],
        ["shot-0[0:4,0:4][2:4]"],
        ["shot-0[0:4,4:8][0:2]"],
    ]
    assert parts[-1][0].name == "shot-0[4:10,4:8][2:4]"


def test_large_clips_are_cut_into_more_tiles_than_small_ones():
    shots, _ = numbered([(1, 4, 4), (1, 8, 8)])  # 8 x 8 and 16 x 16 pixels
    parts = Equal(min_frames=1, min_size=4, scale=2)(shots, 5)
    assert parts[0][0].name == "shot-0"
    assert len({shot.name for part in parts for shot in part}) == 5


def test_parts_are_views():
    shots, _ = numbered([(4, 5, 4)])
    whole = shots[0].clip().high
    assert all(
        np.shares_memory(whole, part[0].clip().high)
        for part in Equal(min_frames=2, min_size=4, scale=2)(shots, 8)
    )


@pytest.mark.parametrize("num_clients", [1, 2, 4, 10, 40, 240])
def test_sample_serves_any_usual_number(num_clients):
    parts = Equal(min_frames=8, min_size=96, scale=4)(Sample(scale=4).train(), num_clients)
    assert len(parts) == num_clients
    assert min(sum(shot.frames for shot in part) for part in parts) >= 8
    assert min(min(shot.height, shot.width) for part in parts for shot in part) >= 96


def test_refuses_too_many_clients_by_name():
    shots, _ = numbered([(4, 4, 4)])
    with pytest.raises(
        DataError, match=r"90 clients of 1 frames .* need 90 frames, but 4 frames in tiles of 4 pixels"
    ):
        Equal(min_frames=1, min_size=4, scale=2)(shots, 90)


@pytest.mark.parametrize(("count", "num_clients"), [(0, 2), (1, 0)])
def test_refuses_nothing_to_divide(count, num_clients):
    shots, _ = numbered([(4, 4, 4)] * count) if count else ([], 0)
    with pytest.raises(DataError, match="expected frames and clients"):
        Equal(min_frames=1, min_size=4, scale=2)(shots, num_clients)
