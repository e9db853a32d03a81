"""Promises: a degraded crop is a crop of the degraded clip, always the same; steps do what they say."""

import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.data.camera import Blur, Camera, GaussianNoise, Jpeg, PhotonNoise, Shrink
from fedvsr_core.data.clips import ALL
from fedvsr_core.data.compression import H264, H265, Av1, codec_version
from fedvsr_core.data.degradation import Bicubic, GaussianBlur, MadeLow, Place, bicubic_down
from fedvsr_core.data.synthetic import Texture
from fedvsr_core.errors import ConfigurationError, ShapeError
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.vmaf import find_ffmpeg

CLIP = Texture(0, 0, 3, 144, 208)[ALL]  # 36 x 52 low-resolution pixels


def camera(owner=None, seed=0, **steps):
    return Camera(steps=steps, scale=4, seed=seed, owner=owner)


LOCAL = {
    "bi": Bicubic(4),
    "bd12": GaussianBlur(12, 4),
    "bd13": GaussianBlur(13, 4),
    "blur": camera(blur=Blur((0.5, 3.0)), shrink=Shrink()),
    "noise": camera(shrink=Shrink(), noise=GaussianNoise((5.0, 25.0))),
    "photons-before": camera(photons=PhotonNoise((10.0, 200.0)), shrink=Shrink()),
    "jpeg": camera(shrink=Shrink(), jpeg=Jpeg((30.0, 90.0))),
    "jpeg-before": camera(jpeg=Jpeg((30.0, 90.0)), blur=Blur((1.0, 1.0)), shrink=Shrink()),
    "all": camera(
        blur=Blur((0.5, 2.0)), shrink=Shrink(), noise=GaussianNoise((1.0, 9.0)), jpeg=Jpeg((30.0, 90.0))
    ),
}


@pytest.mark.parametrize("degradation", LOCAL.values(), ids=LOCAL)
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_a_crop_is_what_the_whole_clip_has_there(degradation, data):
    low = MadeLow(CLIP, degradation, "a")
    whole = low[ALL]
    assert whole.shape == low.shape == (3, 36, 52, 3)
    first, top, left = (data.draw(st.integers(0, size - 1)) for size in low.shape[:3])
    stop, bottom, right = (
        data.draw(st.integers(begin + 1, size))
        for begin, size in zip((first, top, left), low.shape[:3], strict=True)
    )
    crop = low[first:stop, top:bottom, left:right]
    np.testing.assert_array_equal(crop, whole[first:stop, top:bottom, left:right])


def test_parameters_belong_to_the_clip_or_to_the_owner():
    noisy, owned = camera(noise=GaussianNoise((0.0, 30.0)), shrink=Shrink()), "client 1"
    mine = camera(owned, noise=GaussianNoise((0.0, 30.0)), shrink=Shrink())
    assert noisy.parameter("noise", "a") == noisy.parameter("noise", "a") != noisy.parameter("noise", "b")
    assert mine.parameter("noise", "a") == mine.parameter("noise", "b")
    drawn = [noisy.parameter("noise", str(number)) for number in range(200)]
    assert 0 <= min(drawn) < 2
    assert 28 < max(drawn) <= 30


def test_other_seeds_clips_and_frames_have_other_noise():
    grey = np.full((2, 32, 32, 3), 128, np.uint8)
    steps = {"shrink": Shrink(), "noise": GaussianNoise((10.0, 10.0))}
    here = Place("a", 0, 0, 0, 8, 8)
    first, second = camera(**steps)(grey, here)
    assert (first != second).any()
    assert (camera(**steps)(grey, Place("b", 0, 0, 0, 8, 8))[0] != first).any()
    assert (camera(seed=1, **steps)(grey, here)[0] != first).any()
    np.testing.assert_array_equal(camera(**steps)(grey[:1], Place("a", 1, 0, 0, 8, 8))[0], second)


def test_strength_of_noise_by_hand():
    grey = np.full((1, 256, 256, 3), 64, np.uint8)

    def deviation(step):
        return float((camera(shrink=Shrink(), step=step)(grey).astype(float) - 64).std())

    # Rounding adds a variance of 1/12. Photons: a white pixel has variance 256, so 64 has 64.3.
    assert deviation(GaussianNoise((5.0, 5.0))) == pytest.approx((25 + 1 / 12) ** 0.5, rel=0.03)
    assert deviation(PhotonNoise((256.0, 256.0))) == pytest.approx((256 * 64 / 255 + 1 / 12) ** 0.5, rel=0.03)


def test_a_blur_of_nothing_is_bicubic():
    np.testing.assert_array_equal(camera(blur=Blur((0.0, 0.0)), shrink=Shrink())(CLIP), bicubic_down(CLIP))
    blurred = camera(blur=Blur((2.0, 2.0)), shrink=Shrink())(CLIP)
    assert blurred.astype(float).std() < 0.95 * bicubic_down(CLIP).astype(float).std()


@pytest.mark.parametrize("step", [Jpeg, H264, H265, Av1])
def test_worse_settings_are_worse(step):
    low = bicubic_down(CLIP)
    values = {Jpeg: (100.0, 20.0), Av1: (5.0, 63.0)}.get(step, (5.0, 45.0))
    good, bad = (
        np.mean(psnr(camera(shrink=Shrink(), step=step((value, value)))(CLIP), low)) for value in values
    )
    assert good > bad + 2  # most of what is lost is colour, of which a quarter is kept


def test_h264_takes_the_whole_clip_and_odd_sizes():
    coded = camera(shrink=Shrink(), h264=H264((20.0, 30.0)))
    assert coded.reach is None
    odd = CLIP[:, :140, :204]  # 35 x 51 low-resolution pixels
    low = MadeLow(odd, coded, "a")
    assert low[ALL].shape == (3, 35, 51, 3)
    np.testing.assert_array_equal(low[1:2, 3:9, 4:51], low[ALL][1:2, 3:9, 4:51])


def test_h264_makes_the_same_of_a_clip_each_time():
    # With x264's mbtree, one of three differs at this size.
    noise = np.random.default_rng(0).integers(0, 256, (5, 46, 82, 3), dtype=np.uint8)
    h264, place = H264((20.0, 20.0)), Place("a", 0, 0, 0, 46, 82)
    assert len({h264(noise, 20.0, place, 0).tobytes() for _ in range(12)}) == 1


@pytest.mark.parametrize("columns", [33, 40, 48])
def test_h265_of_few_columns(columns):
    # x265 writes beyond its memory for them, which ends the process; so they get more.
    low = np.tile(bicubic_down(CLIP)[:, :24, :columns, :1], (5, 1, 1, 3))
    coded = H265((10.0, 10.0))(low, 10.0, Place("a", 0, 0, 0, 24, columns), 0)
    assert coded.shape == low.shape
    assert np.abs(coded.astype(int) - low).mean() < 15


def test_a_codec_is_as_ffmpegs_own(tmp_path):
    low = bicubic_down(CLIP)
    size = f"{low.shape[2]}x{low.shape[1]}"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    coding = ["-c:v", "libx264", "-preset", "medium", "-crf", "30", "-threads", "1", "-pix_fmt", "yuv420p"]
    coding += ["-x264-params", "mbtree=0"]
    ffmpeg, path = [find_ffmpeg(), "-v", "error"], tmp_path / "a.mkv"
    given = [*ffmpeg, *raw, "-s", size, "-r", "25", "-i", "-", *coding, path]
    subprocess.run(given, input=low.tobytes(), check=True)
    back = subprocess.run([*ffmpeg, "-i", path, *raw, "-"], capture_output=True, check=True).stdout
    coded = camera(shrink=Shrink(), h264=H264((30.0, 30.0)))(CLIP)
    assert np.abs(coded.astype(int) - np.frombuffer(back, np.uint8).reshape(low.shape)).max() <= 1


def test_what_is_stored_names_the_library():
    setting = camera(shrink=Shrink(), h264=H264((1.0, 2.0)))
    assert f"library='{codec_version()}'" in repr(setting)
    assert "libavcodec" in codec_version()
    other = camera(shrink=Shrink(), h264=H264((1.0, 2.0), library="libavcodec 1"))
    assert setting != other


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: camera(blur=Blur((0.0, 1.0))), ConfigurationError, "exactly one step that shrinks, got 0"),
        (lambda: camera(a=Shrink(), b=Shrink()), ConfigurationError, "exactly one step that shrinks, got 2"),
        (
            lambda: camera(a=Shrink(), noise=GaussianNoise((9.0, 1.0))),
            ConfigurationError,
            "range of step noise must begin with the smaller value",
        ),
        (lambda: camera(a=Shrink())(CLIP[0]), ShapeError, r"must be uint8 of shape \(T, H, W, 3\)"),
        (lambda: GaussianBlur(14, 4), ShapeError, "taps must be 12 .* or 13 .*, got 14"),
        (lambda: GaussianBlur(12, 2), ShapeError, "bd12 is defined for scale 4, got 2"),
    ],
    ids=["none", "two", "range", "shape", "taps", "scale"],
)
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
