"""Promises: what is written comes back; it appears complete or not at all and replaces only its like."""

import errno
from fractions import Fraction
from unittest import mock

import av
import cv2
import numpy as np
import pytest

from fedvsr.inference.encoding import CODECS, CONTAINERS, Encoding
from fedvsr.inference.frame_writer import Look, Output, Timing, check_free, open_writer
from fedvsr.inference.segments import SegmentWriter
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import probe, read_frames
from fedvsr_core.errors import ConfigurationError, DataError

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
SMOOTH = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[:, None], (4, 32, 48, 3))
LOSSLESS = Encoding("ffv1")


def output(path, *, fps=12.5, encoding=None, **facts):
    encoding = encoding or (LOSSLESS if path.suffix == ".mkv" else Encoding())
    return Output(path, Timing.constant(fps), encoding, **facts)


def write(path, frames=FRAMES, *, overwrite=False, resume=False, **facts):
    with open_writer(output(path, **facts), overwrite=overwrite, resume=resume) as writer:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame))


@pytest.mark.parametrize("name", ["frames", "clip.mkv"])
def test_lossless_kinds_come_back_exactly(tmp_path, name):
    write(tmp_path / name)
    np.testing.assert_array_equal(list(read_frames(tmp_path / name)), FRAMES)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("suffix", "codec"), [(suffix, codec) for suffix, codecs in CONTAINERS.items() for codec in codecs]
)
@pytest.mark.parametrize("bits", [8, 10])
def test_every_codec_in_every_container_comes_back_nearly(tmp_path, suffix, codec, bits):
    path = tmp_path / f"clip{suffix}"
    grey = np.repeat(SMOOTH[..., :1], 3, axis=-1).repeat(2, axis=1).repeat(2, axis=2)
    write(path, grey.astype(np.uint16) * 257 if bits == 10 else grey, encoding=Encoding(codec, bits=bits))
    back = np.array(list(read_frames(path))).astype(int)
    assert np.abs(back - grey).mean() < 2
    shown = index_of(path).shown
    assert shown.bits == (10 if bits == 10 or CODECS[codec].shallow is None else 8)


@pytest.mark.parametrize("fps", [24, 30000 / 1001, 12.5])
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_fps_is_kept(tmp_path, suffix, fps):
    write(tmp_path / f"clip{suffix}", SMOOTH, fps=fps, encoding=Encoding())
    assert probe(tmp_path / f"clip{suffix}").fps == pytest.approx(fps, abs=1e-3)


@pytest.mark.parametrize(("lines", "matrix"), [(576, 6), (720, 1)], ids=["BT.601", "BT.709"])
def test_colours_are_those_of_the_size_and_tagged_so(tmp_path, lines, matrix):
    red = np.full((2, lines, 32, 3), (200, 50, 50), np.uint8)
    write(tmp_path / "clip.mp4", red)
    shown = index_of(tmp_path / "clip.mp4").shown
    assert (shown.matrix, shown.primaries, shown.transfer, shown.full_range) == (
        matrix,
        matrix,
        matrix,
        False,
    )
    back = np.array(list(read_frames(tmp_path / "clip.mp4"))).astype(int)
    assert np.abs(back - red).max() <= 2


def test_primaries_and_aspect_of_the_source_are_kept(tmp_path):
    write(tmp_path / "clip.mp4", SMOOTH, look=Look(Fraction(32, 27), 9, 14))
    shown = index_of(tmp_path / "clip.mp4").shown
    assert (shown.aspect, shown.matrix, shown.primaries, shown.transfer) == (Fraction(32, 27), 9, 9, 14)
    back = np.array(list(read_frames(tmp_path / "clip.mp4"))).astype(int)
    assert np.abs(back - SMOOTH).mean() < 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_each_frame_has_its_time(tmp_path, suffix):
    # 30 a second, then 10: a step of 33.3 ms, then of 100
    times = [*range(0, 6000, 1000), *range(8000, 20000, 3000)]
    timing = Timing(Fraction(20), Fraction(1, 30000), times)
    frames = np.resize(SMOOTH, (len(times), 32, 48, 3))
    with open_writer(Output(tmp_path / f"clip{suffix}", timing)) as writer:
        for frame in frames:
            writer.write(frame)
    index = index_of(tmp_path / f"clip{suffix}")
    np.testing.assert_allclose(index.seconds(), np.array(times) / 30000, atol=1e-3)
    assert index.variable


def test_an_mp4_can_be_played_while_it_loads(tmp_path):
    write(tmp_path / "clip.mp4", SMOOTH)
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_odd_sizes_are_made_even_by_repeating_the_edge(tmp_path):
    odd = SMOOTH[:, :31, :47]
    write(tmp_path / "clip.mp4", odd)
    back = np.array(list(read_frames(tmp_path / "clip.mp4"))).astype(int)
    assert back.shape == (4, 32, 48, 3)
    assert np.abs(back[:, :31, :47] - odd).mean() < 3


def test_deep_frames_stay_deep(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (3, 32, 48, 3), dtype=np.uint16)
    write(tmp_path / "frames", deep)
    back = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted((tmp_path / "frames").iterdir())]
    np.testing.assert_array_equal([image[..., ::-1] for image in back], deep)


def test_names_of_frames_are_kept(tmp_path):
    write(tmp_path / "frames", names=["a7.png", "a8.png", "a9.png", "b.png"])
    assert sorted(file.name for file in (tmp_path / "frames").iterdir()) == [
        "a7.png",
        "a8.png",
        "a9.png",
        "b.png",
    ]
    write(tmp_path / "frames", overwrite=True, names=["a7.png", "a8.png", "a9.png", "b.png"])
    with pytest.raises(DataError, match="holds other things than a former result"):
        check_free(output(tmp_path / "frames"), overwrite=True)


@pytest.mark.parametrize("name", ["frames", "clip.mp4"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path, name, error):
    def broken():
        yield FRAMES[0]
        raise error

    with pytest.raises(error):
        write(tmp_path / name, broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["frames", "clip.mkv"])
def test_replaces_only_when_complete(tmp_path, name):
    write(tmp_path / name, FRAMES[:1])

    def broken():
        yield FRAMES[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(tmp_path / name, broken(), overwrite=True)
    assert len(list(read_frames(tmp_path / name))) == 1
    write(tmp_path / name, overwrite=True)
    assert len(list(read_frames(tmp_path / name))) == 4
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_no_frames_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there are no frames to write to"):
        write(tmp_path / "clip.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_at_once(tmp_path):
    with (
        mock.patch.object(
            SegmentWriter, "_put", side_effect=OSError(errno.ENOSPC, "No space left on device")
        ),
        pytest.raises(DataError, match=r"the disk is full: only 0 frames .* could be written; free some"),
    ):
        write(tmp_path / "clip.mkv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["frames", "clip.mp4", "clip.mkv"])
def test_an_interrupted_job_goes_on(tmp_path, name):
    frames = np.random.default_rng(1).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
    write(tmp_path / f"whole{(tmp_path / name).suffix}", frames)
    about = {"input": "a"}

    def job(begin, stop, about=about):
        with open_writer(output(tmp_path / name), resume=True, chunk=16, about=about) as writer:
            assert writer.done == begin
            for frame in frames[writer.done : stop]:
                writer.write(frame)
            if stop < len(frames):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job(0, 130)
    assert not (tmp_path / name).exists()
    with pytest.raises(DataError, match=r"the interrupted job in .* differs in input; give the same options"):
        job(0, 1, {"input": "b"})
    with pytest.raises(KeyboardInterrupt):
        job(128, 280)
    job(256, 300)
    back = list(read_frames(tmp_path / name))
    np.testing.assert_array_equal(back, list(read_frames(tmp_path / f"whole{(tmp_path / name).suffix}")))
    assert {file.name for file in tmp_path.iterdir()} == {name, f"whole{(tmp_path / name).suffix}"}


def test_without_resume_a_job_begins_anew(tmp_path):
    def interrupted():
        yield from [FRAMES[0]] * 200
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "f", interrupted(), resume=True)
    with open_writer(output(tmp_path / "f")) as writer:
        assert writer.done == 0
        writer.write(FRAMES[0])
    assert [file.name for file in (tmp_path / "f").iterdir()] == ["000000.png"]


def test_two_jobs_do_not_write_to_one_file(tmp_path):
    with open_writer(output(tmp_path / "a.mkv")) as writer:
        writer.write(FRAMES[0])
        with (
            pytest.raises(DataError, match=r"another job writes to .*; wait for it"),
            open_writer(output(tmp_path / "a.mkv")),
        ):
            pass
    assert [file.name for file in tmp_path.iterdir()] == ["a.mkv"]


def test_a_link_leads_to_its_target(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "clip.mkv").symlink_to(tmp_path / "far" / "target.mkv")
    write(tmp_path / "clip.mkv")
    assert (tmp_path / "clip.mkv").is_symlink()
    np.testing.assert_array_equal(list(read_frames(tmp_path / "far" / "target.mkv")), FRAMES)
    assert [file.name for file in (tmp_path / "far").iterdir()] == ["target.mkv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip.gif", r"must be a video \(.mkv, .mov, .mp4, .webm\) or a folder"),
        ("no/clip.mp4", "there is no folder '.*no' to write 'clip.mp4' in; create it first"),
        ("there.mp4", "there.mp4' exists already; choose another name or add --overwrite"),
    ],
)
def test_refuses(tmp_path, name, message):
    (tmp_path / "there.mp4").touch()
    with pytest.raises(DataError, match=message):
        check_free(output(tmp_path / name), overwrite=False)


@pytest.mark.parametrize(
    ("name", "encoding", "message"),
    [
        ("a.webm", Encoding("h264"), r"\.webm can't hold h264; choose .mp4, .mov, .mkv, or another --codec"),
        ("a.mp4", Encoding("divx"), "there is no codec 'divx'; choose one of h264, h265, av1, ffv1, prores"),
        ("a.mkv", Encoding("ffv1", crf=20), "codec 'ffv1' has no crf 20; leave --crf out"),
        ("a.mp4", Encoding(preset="quick"), "codec 'h264' has no preset 'quick'; choose one of ultrafast"),
        ("a.mkv", Encoding("ffv1", preset="slow"), "codec 'ffv1' has no preset 'slow'; leave --preset out"),
    ],
)
def test_refuses_what_a_codec_is_not(tmp_path, name, encoding, message):
    with pytest.raises(ConfigurationError, match=message):
        check_free(output(tmp_path / name, encoding=encoding), overwrite=False)


def test_refuses_frames_that_x265_would_break_memory_on(tmp_path):
    with pytest.raises(
        DataError, match="h265 can't encode frames of 48 columns, it needs 64; choose another"
    ):
        write(tmp_path / "a.mkv", encoding=Encoding("h265"))
    assert list(tmp_path.iterdir()) == []


def test_never_replaces_what_is_no_result(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.png").touch()
    (tmp_path / "clip.mp4").mkdir()
    for name in ("photos", "clip.mp4"):
        with pytest.raises(DataError, match="holds other things than a former result"):
            check_free(output(tmp_path / name), overwrite=True)
