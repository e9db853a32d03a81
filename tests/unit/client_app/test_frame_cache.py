"""Promises: decoded clips stay as long as all fit, the oldest go first, and there is a limit."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import numpy as np
import pytest

from client_app.frame_cache import CachedPixels, FrameCache, base_of, decoded_size
from fedvsr_core.data.clips import ALL, Cut
from fedvsr_core.data.degradation import Bicubic, MadeLow, bicubic_down
from fedvsr_core.data.store import Planes
from fedvsr_core.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
SIZE = PIXELS.nbytes


@dataclass(frozen=True)
class Counted:
    """Pixels that count how often they are decoded."""

    name: str
    decoded: list = field(default_factory=list, compare=False)
    shape = PIXELS.shape

    def __getitem__(self, box):
        self.decoded.append(box)
        return PIXELS[box]


def test_decoded_once_while_it_fits():
    cache = FrameCache(2 * SIZE)
    first, second = Counted("a"), Counted("b")
    for _ in range(3):
        for pixels in (first, second):
            np.testing.assert_array_equal(cache.wrap(pixels)[0:1, 2:4, 1:8], PIXELS[0:1, 2:4, 1:8])
    assert first.decoded == second.decoded == [ALL]


def test_what_was_used_last_stays():
    cache = FrameCache(2 * SIZE)
    a, b, c = (Counted(name) for name in "abc")
    for pixels in (a, b, a, c, a, b):  # c takes the place of b
        cache.wrap(pixels)[ALL]
    assert [len(pixels.decoded) for pixels in (a, b, c)] == [1, 2, 1]
    assert cache._size <= cache.limit


def test_cuts_and_made_frames_share_what_they_are_of():
    cache, pixels = FrameCache(SIZE), Counted("a")
    cut = cache.wrap(Cut(pixels, (slice(0, 1), slice(0, 4), slice(4, 8))))
    low = cache.wrap(MadeLow(pixels, Bicubic(4), "a"))
    np.testing.assert_array_equal(cut[ALL], PIXELS[:1, :4, 4:])
    np.testing.assert_array_equal(low[ALL], bicubic_down(PIXELS))
    assert len(pixels.decoded) == 1
    assert base_of(cut) == base_of(low) == pixels


def test_frames_made_of_a_whole_clip_are_kept_too():
    class Whole(Bicubic):
        reach = None
        calls = 0

        def __call__(self, frames, place=None):
            Whole.calls += 1
            return super().__call__(frames, place)

    cache, pixels = FrameCache(2 * SIZE), Counted("a")
    for _ in range(3):
        low = cache.wrap(MadeLow(pixels, Whole(4), "a"))
        np.testing.assert_array_equal(low[1:2, 0:1, 1:2], bicubic_down(PIXELS)[1:2, 0:1, 1:2])
    assert (Whole.calls, len(pixels.decoded)) == (1, 1)


def test_threads_do_not_upset_it():
    cache = FrameCache(3 * SIZE)
    clips = [Counted(str(number)) for number in range(5)]
    with ThreadPoolExecutor(4) as pool:
        for frames in pool.map(lambda number: cache.wrap(clips[number % 5])[ALL], range(200)):
            np.testing.assert_array_equal(frames, PIXELS)
    assert cache._size == sum(frames.nbytes for frames in cache._frames.values()) <= cache.limit


def test_threads_that_want_the_same_decode_it_once():
    class Slow(Counted):
        def __getitem__(self, box):
            Event().wait(0.05)
            return super().__getitem__(box)

    cache, pixels = FrameCache(SIZE), Slow("a")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: cache.wrap(pixels)[ALL], range(4)))
    assert len(pixels.decoded) == 1


def test_what_needs_no_decoding_stays_as_it_is(tmp_path):
    cache, planes = FrameCache(10 * SIZE), Planes(tmp_path, 2, 8, 8)
    assert cache.wrap(PIXELS) is PIXELS
    assert cache.wrap(planes) is planes
    assert base_of(PIXELS) is base_of(Cut(planes, ALL)) is base_of(None) is None
    assert decoded_size(None) == 0
    assert decoded_size(Counted("a")) == SIZE


def test_what_is_larger_than_all_memory_is_decoded_anew():
    cache, pixels = FrameCache(SIZE - 1), Counted("a")
    wrapped = cache.wrap(pixels)
    assert not isinstance(wrapped, CachedPixels)
    wrapped[ALL], wrapped[ALL]
    assert len(pixels.decoded) == 2


class Damaged(Counted):
    """Pixels whose first frame can't be decoded."""

    def __getitem__(self, box):
        self.decoded.append(box)
        if box[0].indices(2)[0] == 0:
            raise DataError("frame 0 can't be decoded")
        return PIXELS[box]


def test_of_a_damaged_clip_what_can_be_read_is_read_as_without_a_cache():
    pixels = Damaged("a")
    cached = FrameCache(2 * SIZE).wrap(pixels)
    for _ in range(2):
        np.testing.assert_array_equal(cached[1:2, 0:8, 0:8], PIXELS[1:2])
        with pytest.raises(DataError, match="frame 0"):
            cached[0:1, 0:8, 0:8]
    assert pixels.decoded.count(ALL) == 1
