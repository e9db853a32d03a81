"""Promises: batches that are pure functions of (seed, index), true to their clips, low and high alike."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.data.loaders import Batches, Draw, prefetched, to_float
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError
from fedvsr_core.settings import Training

TRAINING = Training(steps=3, batch=2, window=4, patch=5, clip_norm=None, upload="weights")


def clip(name="a", frames=6, height=8, width=9, scale=2, seed=0):
    """A random clip whose high frames are its low frames with each pixel repeated."""
    low = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Shot(name, low.repeat(scale, axis=1).repeat(scale, axis=2), low)


def all_of(batches):
    return [torch.cat([low.flatten(), high.flatten()]) for low, high in batches]


def test_shapes_and_range():
    batches = list(Batches([clip()], TRAINING, seed=1))
    assert len(batches) == 3
    for low, high in batches:
        assert low.shape == (2, 4, 3, 5, 5)
        assert high.shape == (2, 4, 3, 10, 10)
        assert low.dtype == high.dtype == torch.uint8
        assert low.min() < low.max()


def test_a_sample_by_hand():
    # Two frames of 2 x 3 pixels, red = 100 time + 10 row + column. A window of three is 0 1 0, as is its
    # reverse. The crop is columns 1 and 2: [[1, 2], [11, 12]]. Upside down it is [[11, 12], [1, 2]], and
    # transposed [[11, 1], [12, 2]].
    time, row, column = np.ogrid[:2, :2, :3]
    low = np.stack([100 * time + 10 * row + column] * 3, axis=-1).astype(np.uint8)
    batches = Batches([Shot("a", low, low)], TRAINING.model_copy(update={"window": 3, "patch": 2}), seed=0)
    draw = Draw(0, 0, 0, 1, flip_rows=True, flip_columns=False, transpose=True, reverse=True)
    result, _ = batches.sample(draw)
    assert result[0, 0].tolist() == [[11, 1], [12, 2]]
    assert result[1, 0].tolist() == [[111, 101], [112, 102]]
    assert result[2, 0].tolist() == result[0, 0].tolist()


@settings(deadline=None)
@given(seed=st.integers(0, 2**63 - 1), index=st.integers(0, 10**6))
def test_low_and_high_show_the_same(seed, index):
    batches = Batches([clip(), clip("b", frames=2, height=6, width=7, seed=1)], TRAINING, seed=seed)
    low, high = batches.sample(batches.draw(index))
    assert torch.equal(low.repeat_interleave(2, -1).repeat_interleave(2, -2), high)


@settings(deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
def test_same_seed_same_batches_whatever_was_drawn_before(seed):
    first, second = Batches([clip()], TRAINING, seed=seed), Batches([clip()], TRAINING, seed=seed)
    second.draw(7)
    list(second)
    assert all(torch.equal(a, b) for a, b in zip(all_of(first), all_of(second), strict=True))
    assert first.digest() == second.digest()


def test_fewer_steps_are_the_first_of_more():
    more = Batches([clip()], TRAINING.model_copy(update={"steps": 9}), seed=3)
    fewer = Batches([clip()], TRAINING, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(all_of(fewer), all_of(more), strict=False))


@pytest.mark.parametrize(
    "other",
    [
        Batches([clip()], TRAINING, seed=4),
        Batches([clip(frames=7)], TRAINING, seed=3),
        Batches([clip()], TRAINING.model_copy(update={"steps": 4}), seed=3),
        Batches([clip()], TRAINING.model_copy(update={"patch": 4}), seed=3),
        Batches([clip()], TRAINING.model_copy(update={"window": 3}), seed=3),
    ],
    ids=["seed", "clip", "steps", "patch", "window"],
)
def test_digest_tells_batches_apart(other):
    assert other.digest() != Batches([clip()], TRAINING, seed=3).digest()


def test_digest_holds_no_name():
    # whoever guesses a name could see by an equal digest that the guess is right
    assert Batches([clip("b")], TRAINING, seed=3).digest() == Batches([clip("a")], TRAINING, seed=3).digest()


def test_digest_knows_the_size_of_the_crop():
    same = 0
    for seed in range(50):
        sizes = [TRAINING.model_copy(update={"steps": 1, "batch": 1, "patch": patch}) for patch in (4, 5)]
        first, second = (Batches([clip(height=5, width=5)], size, seed=seed) for size in sizes)
        same += first.draw(0) == second.draw(0)
        assert first.digest() != second.digest()
    assert same > 0


def test_white_is_one():
    white = np.full((4, 5, 5, 3), 255, np.uint8)
    for low, high in Batches([Shot("a", white, white)], TRAINING, seed=0):
        for batch in (low, high):
            assert to_float(batch, torch.device("cpu")).eq(1).all()
    kept = torch.tensor([0.25])
    assert to_float(kept, torch.device("cpu")).equal(kept)


def test_single_pixels_all_get_their_turn():
    dots = [clip(name, frames=1, height=1, width=1) for name in "abc"]
    batches = Batches(dots, TRAINING.model_copy(update={"patch": 1}), seed=0)
    assert {batches.draw(index).clip for index in range(50)} == {0, 1, 2}


def test_every_turn_and_place_occurs():
    batches = Batches([clip()], TRAINING, seed=0)
    draws = [batches.draw(index) for index in range(2000)]
    assert len({(d.flip_rows, d.flip_columns, d.transpose, d.reverse) for d in draws}) == 16
    # 6 - 4 + 1 starts, 8 - 5 + 1 rows, 9 - 5 + 1 columns
    assert len({(d.start, d.top, d.left) for d in draws}) == 3 * 4 * 5


def test_clips_count_by_windows_and_area():
    # 3 windows of 64 pixels against 1 of 192: each half of the samples, within four deviations.
    clips = [clip("a", height=8, width=8), clip("b", frames=4, height=8, width=24)]
    batches = Batches(clips, TRAINING, seed=0)
    assert batches.num_windows == 4
    share = np.mean([batches.draw(index).clip for index in range(4000)])
    assert abs(share - 0.5) < 4 * 0.5 / 4000**0.5


def test_short_clips_train_and_small_ones_are_left_out_by_name(caplog):
    shots = [clip(), clip("short", frames=1, height=5, width=5), clip("small", height=4)]
    batches = Batches(shots, TRAINING, seed=0)
    assert [shot.name for shot in batches.shots] == ["a", "short"]
    assert batches.num_windows == 3 + 1
    assert "clip 'small' has low-resolution frames of 9x4, smaller than the crop of 5x5" in caplog.text


def test_an_epoch_takes_every_window_once():
    shots = [clip(frames=6), clip("b", frames=9)]  # 3 + 6 windows of 4
    epochs = TRAINING.model_copy(update={"epochs": 2.0, "batch": 3})
    batches = Batches(shots, epochs, seed=0)
    assert len(batches) == 6
    draws = [batches.draw(index) for index in range(18)]
    windows = [(draw.clip, draw.start) for draw in draws]
    every = {(0, start) for start in range(3)} | {(1, start) for start in range(6)}
    assert set(windows[:9]) == set(windows[9:]) == every
    assert windows[:9] != windows[9:]
    assert batches.draw(3) == draws[3]  # whatever was drawn before
    part = Batches(shots, epochs.model_copy(update={"epochs": 0.5, "batch": 2}), seed=0)
    assert len(part) == 3  # 4.5 windows, rounded up to whole batches


@pytest.mark.parametrize(
    ("augment", "turns"),
    [
        ((), {(False, False, False, False)}),
        (("reversal",), {(False, False, False, back) for back in (False, True)}),
        (("flips",), {(up, left, False, False) for up in (False, True) for left in (False, True)}),
        # By quarters: none, transposed and mirrored, both mirrored, transposed and mirrored the other way.
        (
            ("rotations",),
            {
                (False, False, False, False),
                (False, True, True, False),
                (True, True, False, False),
                (True, False, True, False),
            },
        ),
    ],
    ids=["none", "reversal", "flips", "rotations"],
)
def test_only_the_turns_that_are_wanted(augment, turns):
    batches = Batches([clip()], TRAINING.model_copy(update={"augment": augment}), seed=0)
    draws = [batches.draw(index) for index in range(100)]
    assert {(d.flip_rows, d.flip_columns, d.transpose, d.reverse) for d in draws} == turns


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_change_nothing(workers):
    seen = all_of(Batches([clip()], TRAINING, seed=3, workers=workers))
    assert all(
        torch.equal(a, b) for a, b in zip(seen, all_of(Batches([clip()], TRAINING, seed=3)), strict=True)
    )


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_ahead_is_in_order(count, workers):
    assert list(prefetched(lambda number: number**2, count, workers=workers)) == [n**2 for n in range(count)]


def test_ahead_passes_errors_on_and_stops():
    made = []

    def make(number):
        made.append(number)
        return 1 // (3 - number)

    with pytest.raises(ZeroDivisionError):
        list(prefetched(make, 1000, workers=2))
    assert max(made) < 10


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], r"clips of at least 5x5 .*got none"),
        ([clip(height=4)], r"none of the 1 is large enough; .* lower training\.patch"),
        ([clip(), replace(clip("bare"), low=None)], "'bare' has no low-resolution frames"),
    ],
    ids=["none", "small", "bare"],
)
def test_refuses(clips, message):
    with pytest.raises(DataError, match=message):
        Batches(clips, TRAINING, seed=0)


def test_threads_take_the_order_of_the_epoch_they_asked_for():
    twice = TRAINING.model_copy(update={"epochs": 2.0})
    batches = Batches([clip(frames=40)], twice, seed=1)
    expected = [batches.draw(index) for index in range(2 * batches.num_windows)]
    orders = batches._order(0), batches._order(1)

    class Racing(Batches):
        """Another thread asks for the other epoch whenever one was put away."""

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "_epoch" and value is not None:
                super().__setattr__(name, (1 - value[0], orders[1 - value[0]]))

    racing = Racing([clip(frames=40)], twice, seed=1)
    assert [racing.draw(index) for index in range(len(expected))] == expected


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shares_make_the_whole_batch(count):
    whole = Batches([clip()], TRAINING.model_copy(update={"batch": 4}), seed=3)
    shares = [whole.share_of(rank, count) for rank in range(count)]
    for step in range(len(whole)):
        parts = [share.batch(step) for share in shares]
        assert all(len(low) == len(high) == 4 // count for low, high in parts)
        for kind in (0, 1):
            assert torch.equal(torch.cat([part[kind] for part in parts]), whole.batch(step)[kind])
    assert {share.digest() for share in shares} == {whole.digest()}


class Damaged:
    """Frames of which some can't be read."""

    def __init__(self, frames, bad):
        self.frames, self.bad = frames, bad
        self.shape = frames.shape

    def __getitem__(self, box):
        if set(range(*box[0].indices(len(self.frames)))) & set(self.bad):
            raise DataError("frame can't be decoded")
        return self.frames[box]


def damaged(bad, **about):
    sound = clip(**about)
    return replace(sound, high=Damaged(sound.high, bad))


@pytest.mark.parametrize("epochs", [None, 2.0])
def test_what_is_damaged_is_named_once_and_all_else_trained_on(caplog, epochs):
    training = TRAINING.model_copy(update={"steps": 30, "epochs": epochs})
    shots = [damaged(range(40), name="whole", frames=40), damaged([20], name="part", frames=40, seed=1)]
    batches = Batches(shots, training, seed=1)
    seen = all_of(batches)
    assert len(seen) == len(batches)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "left out where it is damaged: clip 'part': frame can't be decoded",
        "left out where it is damaged: clip 'whole': frame can't be decoded",
    ]
    # In any order, by any number of threads: the same samples and the same digest.
    again = Batches(shots, training, seed=1, workers=3)
    backwards = [again.batch(step) for step in reversed(range(len(batches)))][::-1]
    for one, other in zip(seen, all_of(backwards), strict=True):
        assert torch.equal(one, other)
    assert again.digest() == batches.digest()
    assert Batches(shots, training, seed=1).digest() != batches.digest()  # before anything was read


def test_data_that_cannot_be_read_at_all_are_refused():
    batches = Batches([damaged(range(6))], TRAINING, seed=1)
    with pytest.raises(DataError, match="1 of 1 clips can't be read, such as: frame can't be decoded"):
        batches.batch(0)


def test_a_gpu_gets_crops_from_pinned_memory_and_turns_them(monkeypatch):
    # Stand-ins for what needs a GPU; the values must be those of a CPU.
    pinned, sent = [], []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda cut: pinned.append(cut.shape) or cut)
    monkeypatch.setattr(torch.Tensor, "to", lambda cut, *where, **how: sent.append((where, how)) or cut)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    device = torch.device("cuda", 1)
    batches = Batches([clip()], TRAINING, seed=3, device=device)
    for step in range(3):
        for one, other in zip(
            batches.batch(step), Batches([clip()], TRAINING, seed=3).batch(step), strict=True
        ):
            assert torch.equal(one, other)
    assert pinned == [(4, 3, 5, 5), (4, 3, 10, 10)] * 6
    assert sent == [((device,), {"non_blocking": True})] * 12


@pytest.mark.gpu
def test_batches_on_a_gpu_are_those_of_a_cpu():
    device = torch.device("cuda")
    for ours, expected in zip(
        Batches([clip()], TRAINING, seed=3, device=device), Batches([clip()], TRAINING, seed=3), strict=True
    ):
        for one, other in zip(ours, expected, strict=True):
            assert one.device.type == "cuda"
            assert torch.equal(one.cpu(), other)
