"""Promises: frames are ffmpeg's own, whichever are asked for, upright; what is lost is said."""

import subprocess
from fractions import Fraction
from unittest import mock

import av
import numpy as np
import pytest

from fedvsr_core.data import decoding, frame_index
from fedvsr_core.data.containers import HLG, PQ
from fedvsr_core.data.decoding import decode
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.errors import DataError
from fedvsr_core.metrics.vmaf import find_ffmpeg

MOVING = "testsrc2=s=96x64:r=25:d=2"
KINDS = {
    "key-frames.mp4": "-pix_fmt yuv420p -c:v libx264 -g 12",
    "open-groups.mkv": "-pix_fmt yuv420p -c:v libx264 -x264-params open-gop=1:keyint=12:bframes=3",
    "intra-refresh.mkv": "-pix_fmt yuv420p -c:v libx264 -x264-params intra-refresh=1:keyint=12:bframes=0",
    "broadcast.ts": "-pix_fmt yuv420p -c:v libx264 -g 12 -f mpegts",
    "camera.mts": "-pix_fmt yuv420p -c:v libx264 -g 12 -f mpegts",
    "dvd.vob": "-c:v mpeg2video -bf 2 -f vob",
    "deep.mkv": "-pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=error:keyint=12",
    "web.webm": "-c:v libvpx-vp9 -g 12 -pix_fmt yuv420p",
    "old.avi": "-c:v mpeg4 -bf 2 -g 12",
    "older.wmv": "-c:v wmv2",
    "flash.flv": "-c:v flv",
    "phone.3gp": "-c:v mpeg4",
    "raw.y4m": "-pix_fmt yuv420p",
    "moving.gif": "",
    "rgb.mkv": "-pix_fmt gbrp -c:v libx264rgb",
    "full.mp4": "-pix_fmt yuvj420p -c:v libx264",
    "without-times.264": "-pix_fmt yuv420p -c:v libx264 -bf 2 -g 12 -f h264",
}


def ffmpeg(*words):
    command = [find_ffmpeg(), "-hide_banner", "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def made(path, options="-pix_fmt yuv420p -c:v libx264", source=MOVING):
    ffmpeg("-f", "lavfi", "-i", source, *options.split(), path)
    return path


def by_ffmpeg(path, shape, pixels="rgb24", *filters):
    """What ffmpeg itself reads, as an array."""
    video = ["-i", path, "-map", "0:v:0", *filters, "-fps_mode", "passthrough"]
    raw = ffmpeg(*video, "-f", "rawvideo", "-pix_fmt", pixels, "-")
    return np.frombuffer(raw, np.uint8 if pixels == "rgb24" else np.uint16).reshape(-1, *shape)


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_those_of_ffmpeg_wherever_one_begins(tmp_path, name):
    path = made(tmp_path / name, KINDS[name])
    frames = np.array(list(decode(path)))
    np.testing.assert_array_equal(frames, by_ffmpeg(path, frames.shape[1:]))
    index = index_of(path)
    assert len(frames) == len(index.times)
    assert not index.lost
    for first in (0, 1, 11, 12, 13, 30, len(frames) - 1):
        window = list(decode(path, first, first + 3))
        np.testing.assert_array_equal(window, frames[first : first + 3])


def test_deep_frames_are_those_of_ffmpeg(tmp_path):
    path = made(tmp_path / "deep.mkv", KINDS["deep.mkv"])
    frames = np.array(list(decode(path, deep=True)))
    np.testing.assert_array_equal(frames, by_ffmpeg(path, frames.shape[1:], "rgb48le"))
    assert index_of(path).shown.bits == 10


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(
    ("matrix", "tag"),
    [("bt709", "bt709"), ("bt601", "smpte170m"), ("bt2020", "bt2020nc")],
    ids=lambda name: name,
)
def test_colours_are_read_by_their_tags(tmp_path, matrix, tag, full):
    values, span = ("full", "pc") if full else ("limited", "tv")
    scaled = f"scale=out_color_matrix={matrix}:out_range={values},format=yuv420p"
    source = f"color=0xC83232:s=96x64:r=25:d=0.2,format=gbrp,{scaled}"
    path = made(tmp_path / "a.mp4", f"-c:v libx264 -qp 0 -colorspace {tag} -color_range {span}", source)
    frames = np.array(list(decode(path))).astype(int)
    assert np.abs(frames - (200, 50, 50)).max() <= 3  # ffmpeg's own rounding, of coding too
    np.testing.assert_array_equal(frames, by_ffmpeg(path, frames.shape[1:]))
    assert index_of(path).shown.full_range == full


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_turned_frames_are_upright(tmp_path, turned):
    corner = np.zeros((64, 96, 3), np.uint8)
    corner[:16, :16] = 255
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        stream.set_display_rotation(-turned)  # counterclockwise there
        container.mux(stream.encode(av.VideoFrame.from_ndarray(corner, format="rgb24")))
        container.mux(stream.encode())
    (frame,) = decode(tmp_path / "a.mp4")
    assert np.abs(frame.astype(int) - np.rot90(corner, -turned // 90)).mean() < 2
    shown = index_of(tmp_path / "a.mp4").shown
    assert (shown.height, shown.width) == frame.shape[:2]
    assert shown.aspect == (2 if turned == 180 else Fraction(1, 2))
    assert shown.notes()[0] == f"marked as turned by {turned} degrees: its frames are read upright"


def test_sound_that_is_longer_does_not_add_frames(tmp_path):
    path = tmp_path / "a.mkv"
    sound = ["-f", "lavfi", "-i", "sine=440:d=2.5"]
    ffmpeg("-f", "lavfi", "-i", MOVING, *sound, "-c:v", "libx264", "-c:a", "aac", path)
    index = index_of(path)
    assert (len(index.times), index.lost) == (50, "")


def test_a_file_may_begin_later(tmp_path):
    base = made(tmp_path / "base.mp4")
    ffmpeg("-i", base, "-c", "copy", "-output_ts_offset", "5", tmp_path / "late.mkv")
    index = index_of(tmp_path / "late.mkv")
    assert (len(index.times), index.lost, index.start_s) == (50, "", 5)
    np.testing.assert_allclose(index.seconds(), np.arange(50) / 25, atol=1e-3)


def test_frames_before_the_cut_are_not_shown(tmp_path):
    base = made(tmp_path / "base.mp4", "-pix_fmt yuv420p -c:v libx264 -g 25")
    ffmpeg("-ss", "0.48", "-i", base, "-c", "copy", tmp_path / "cut.mp4")  # begins between two key frames
    frames = np.array(list(decode(tmp_path / "cut.mp4")))
    np.testing.assert_array_equal(frames, np.array(list(decode(base)))[-len(frames) :])
    assert len(frames) == 38
    assert not index_of(tmp_path / "cut.mp4").lost


def test_a_variable_rate_is_known(tmp_path):
    select = "testsrc2=s=96x64:r=30:d=2,select='lt(t,1)+not(mod(n,3))'"
    path = made(tmp_path / "a.mp4", "-fps_mode vfr -pix_fmt yuv420p -c:v libx264", select)
    index = index_of(path)
    assert index.variable
    np.testing.assert_allclose(index.seconds(), [*np.arange(30) / 30, *np.arange(1, 2, 0.1)], atol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "key-frames.mp4",
        "open-groups.mkv",
        "broadcast.ts",
        "dvd.vob",
        "web.webm",
        "old.avi",
        "older.wmv",
        "flash.flv",
    ],
)
def test_a_window_in_the_middle_decodes_little_before_it(tmp_path, name):
    # A key frame each 12 frames, those to the window and in it, and as many where seeking lands too late.
    path = made(tmp_path / name, KINDS[name], MOVING.replace("d=2", "d=12"))
    index = index_of(path)
    given = []

    def counted(*arguments):
        for frame in frame_index.decoded(*arguments):
            given.append(frame)
            yield frame

    with mock.patch.object(decoding, "decoded", counted):
        assert len(list(decode(path, 275, 280))) == 5
    assert len(index.times) == 300
    assert len(given) < 60


@pytest.mark.parametrize(("name", "cut"), [("a.mp4", 0.6), ("a.mkv", 0.6), ("a.avi", 0.6)])
def test_what_is_missing_at_the_end_is_said(tmp_path, name, cut):
    noisy = "testsrc2=s=96x64:r=25:d=4,noise=alls=40:allf=t"
    flags = "-movflags +faststart" if name == "a.mp4" else ""
    path = made(tmp_path / name, f"-pix_fmt yuv420p -c:v libx264 -g 12 {flags}", noisy)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    damage = []
    frames = list(decode(path, on_damage=damage.append))
    assert 20 < len(frames) < 90
    assert index_of(path).lost or damage


def test_what_cannot_be_decoded_in_the_middle_is_a_frame_all_the_same(tmp_path):
    path = made(tmp_path / "a.mp4", "-pix_fmt yuv420p -c:v libx264 -g 12 -bf 0")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    place, size = packets[20]
    data[place : place + size] = bytes(size)
    path.write_bytes(data)
    damage = []
    assert len(list(decode(path, on_damage=damage.append))) == 50
    assert "frame 20 can't be decoded" in damage
    with pytest.raises(DataError, match=r"frame 20 of '.*a\.mp4' can't be decoded; cut or re-encode"):
        list(decode(path, 18, 23))
    assert len(list(decode(path, 25, 30))) == 5


def test_interlaced_frames_are_deinterlaced_wherever_one_begins(tmp_path):
    source = "testsrc2=s=96x64:r=50:d=1.2,tinterlace=interleave_top,setfield=tff"
    options = "-flags +ildct+ilme -pix_fmt yuv420p -c:v libx264 -x264opts tff=1:keyint=10"
    path = made(tmp_path / "a.mp4", options, source)
    shown = index_of(path).shown
    assert "interlaced: its frames are deinterlaced (bwdif), one for each two fields" in shown.notes()
    frames = np.array(list(decode(path)))
    assert len(frames) == 30
    for first in (0, 9, 10, 11, 28):
        np.testing.assert_array_equal(list(decode(path, first, first + 2)), frames[first : first + 2])
    filters = "-vf", "bwdif=mode=send_frame:deint=interlaced"
    # The first frame has none before it, which ffmpeg 9 treats in another way than the library does.
    same = by_ffmpeg(path, frames.shape[1:], "rgb24", *filters)
    np.testing.assert_array_equal(frames[1:], same[1:])
    assert (frames != by_ffmpeg(path, frames.shape[1:])).any()


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
def test_a_high_dynamic_range_is_refused_unless_asked_for(tmp_path, transfer):
    name, tag = ("PQ", "smpte2084") if transfer == PQ else ("HLG", "arib-std-b67")
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={tag}"
    source = f"testsrc2=s=96x64:r=25:d=0.2,format=yuv420p10le,{tags}"
    path = made(tmp_path / "a.mp4", "-c:v libx265 -x265-params log-level=error", source)
    with pytest.raises(
        DataError, match=rf"high dynamic range \({name}\).*convert it to SDR first, or upscale"
    ):
        list(decode(path))
    assert len(list(decode(path, deep=True, hdr=True))) == 5


def test_a_matrix_that_nobody_knows_is_refused(tmp_path):
    source = f"{MOVING},format=yuv420p,setparams=colorspace=bt2020c"
    path = made(tmp_path / "a.mp4", "-c:v libx264", source)
    with pytest.raises(DataError, match=r"colours of matrix 10 .*, which can't be read right; convert"):
        list(decode(path))


def test_the_video_is_chosen_and_the_cover_is_not(tmp_path):
    small, large = made(tmp_path / "s.mp4"), made(tmp_path / "l.mp4", source="testsrc2=s=128x96:r=25:d=1")
    ffmpeg("-i", large, "-frames:v", "1", tmp_path / "cover.jpg")
    both = [
        "-i",
        small,
        "-i",
        large,
        "-i",
        tmp_path / "cover.jpg",
        "-map",
        "2",
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
    ]
    marks = ["-disposition:v:0", "attached_pic", "-disposition:v:1", "0", "-disposition:v:2", "default"]
    ffmpeg(*both, *marks, tmp_path / "both.mp4")
    shown = index_of(tmp_path / "both.mp4").shown
    assert (shown.height, shown.width, shown.others) == (96, 128, 1)
    assert "has 1 more streams of video, which are left out" in shown.notes()


def test_see_through_frames_are_said(tmp_path):
    path = made(tmp_path / "a.mkv", "-c:v ffv1 -pix_fmt bgra", "color=red@0.5:s=96x64:d=0.2,format=rgba")
    assert "is see-through in places: its alpha channel is left out" in index_of(path).shown.notes()


def test_frames_that_become_see_through_are_said(tmp_path):
    fading = "color=red:s=96x64:d=0.2,format=rgba,geq=r=200:g=0:b=0:a='if(N,0,255)'"
    assert index_of(made(tmp_path / "a.mkv", "-c:v ffv1 -pix_fmt bgra", fading)).shown.alpha


def test_a_playlist_that_is_called_a_video_fetches_nothing(tmp_path):
    (tmp_path / "a.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DataError, match="can't be decoded as one"):
        index_of(tmp_path / "a.mp4")
