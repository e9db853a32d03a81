"""Promises: what lay beside the frames is in the output, and every kind of input is taken or named."""

import json
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from av.stream import Disposition
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr.inference.encoding import CONTAINERS
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import probe, read_frames
from fedvsr_core.metrics.vmaf import find_ffmpeg
from fedvsr_core.models.recurrent import Recurrent

SETTINGS = {"width": 4, "blocks": 1, "scale": 4}
MOVING = "testsrc2=s=24x16:r=25:d=1"
H264 = "-pix_fmt yuv420p -c:v libx264 -bf 2"
SUBTITLE = "1\n00:00:00,000 --> 00:00:00,900\nhello\n"
CHAPTERS = (
    ";FFMETADATA1\ntitle=My title\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=one\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=two\n"
)


def ffmpeg(*words):
    subprocess.run([find_ffmpeg(), "-hide_banner", "-v", "error", "-y", *map(str, words)], check=True)


def made(path, options=H264, source=MOVING):
    ffmpeg("-f", "lavfi", "-i", source, *options.split(), path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "model.safetensors"
    target = f"{Recurrent.__module__}.{Recurrent.__qualname__}"
    save_model(path, Recurrent(**SETTINGS).state_dict(), {"_target_": target, **SETTINGS})
    return path


@pytest.fixture
def upscale(checkpoint):
    """Calls the command; returns its result."""

    def call(*words, expected=0):
        given = ["upscale", "--device", "cpu", "--tile", 0, "--checkpoint", checkpoint, *words]
        result = CliRunner().invoke(app, [*map(str, given)])
        assert result.exit_code == expected, result.output
        result.said = " ".join(result.stderr.replace("│", " ").split())
        return result

    return call


@pytest.fixture
def film(tmp_path):
    """A film with two sounds, a subtitle, two chapters and a title."""
    (tmp_path / "s.srt").write_text(SUBTITLE)
    (tmp_path / "chapters.txt").write_text(CHAPTERS)
    sounds = ["-f", "lavfi", "-i", "sine=440:d=1", "-f", "lavfi", "-i", "sine=880:d=1"]
    beside = [*sounds, "-i", tmp_path / "s.srt", "-i", tmp_path / "chapters.txt"]
    maps = [
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-map",
        "2:a",
        "-map",
        "3:s",
        "-map_metadata",
        "4",
        "-c:v",
        "copy",
        "-c:a",
        "aac",
        "-c:s",
        "srt",
    ]
    names = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"]
    base = made(tmp_path / "base.mp4")
    ffmpeg("-i", base, *beside, *maps, *names, tmp_path / "film.mkv")
    return tmp_path / "film.mkv"


def streams(path):
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


def payload(path, kind):
    """The coded bytes of the streams of a kind."""
    with av.open(str(path)) as container:
        chosen = [stream for stream in container.streams if stream.type == kind]
        return [
            [
                (float(packet.pts * packet.time_base), bytes(packet))
                for packet in container.demux(stream)
                if packet.size
            ]
            for stream in chosen
        ]


def test_everything_beside_the_frames_comes_along(tmp_path, film, upscale):
    result = upscale(film, tmp_path / "out.mkv")
    assert "left out" not in result.stderr
    assert streams(tmp_path / "out.mkv") == ["video", "audio", "audio", "subtitle"]
    for kind in ("audio", "subtitle"):
        for before, after in zip(payload(film, kind), payload(tmp_path / "out.mkv", kind), strict=True):
            assert [data for _, data in before] == [data for _, data in after]
            np.testing.assert_allclose([time for time, _ in after], [time for time, _ in before], atol=2e-3)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.metadata["title"] == "My title"
        assert [stream.language for stream in container.streams.audio] == ["eng", "deu"]
        found = [
            (chapter["metadata"]["title"], float(chapter["end"] * chapter["time_base"]))
            for chapter in container.chapters()
        ]
        assert found == [("one", 0.5), ("two", 1.0)]
    np.testing.assert_allclose(index_of(tmp_path / "out.mkv").seconds(), index_of(film).seconds(), atol=1e-3)


def test_what_the_output_cannot_hold_is_said_in_one_line(tmp_path, film, upscale):
    result = upscale(film, tmp_path / "out.webm")
    assert streams(tmp_path / "out.webm") == ["video", "subtitle"]
    assert "note: .webm can't hold audio aac, audio aac: left out" in result.said


def spoken(path):
    """The text of the subtitles of a file, and when each is shown, as ffmpeg reads them."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:s:0", "-f", "srt", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n\n")[:-1]


@pytest.mark.parametrize("form", ["srt", "ass", "webvtt", "mov_text"])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_text_subtitles_are_written_in_the_form_that_the_output_holds(tmp_path, upscale, form, suffix):
    (tmp_path / "s.srt").write_text(
        "1\n00:00:00,040 --> 00:00:00,200\nhello\nyou\n\n2\n00:00:00,600 --> 00:00:00,900\n<i>ü 日本</i>\n"
    )
    path = tmp_path / ("in.mp4" if form == "mov_text" else "in.mkv")
    ffmpeg("-i", made(tmp_path / "base.mp4"), "-i", tmp_path / "s.srt", "-c:v", "copy", "-c:s", form, path)
    assert "left out" not in upscale(path, tmp_path / f"out.{suffix}").said
    assert [line.split("\n")[1:] for line in spoken(tmp_path / f"out.{suffix}")] == [
        line.split("\n")[1:] for line in spoken(path)
    ]
    assert len(spoken(path)) == 2


def test_subtitles_that_are_pictures_are_said_to_be_left_out(tmp_path, upscale):
    # PGS: a presentation of nothing (0x16) and its end (0x80), each after "PG", two times, type, size
    about = struct.pack(">HHBHBBBB", 720, 576, 0x10, 0, 0x80, 0, 0, 0)
    parts = [
        (90000 * time // 4, kind, data) for time in (1, 2) for kind, data in ((0x16, about), (0x80, b""))
    ]
    packets = [struct.pack(">2sIIBH", b"PG", time, 0, kind, len(data)) + data for time, kind, data in parts]
    (tmp_path / "s.sup").write_bytes(b"".join(packets))
    both = ["-i", made(tmp_path / "base.mp4"), "-i", tmp_path / "s.sup", "-map", 0, "-map", 1]
    ffmpeg(*both, "-c", "copy", tmp_path / "in.mkv")
    result = upscale(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert ".mp4 can't hold subtitle pgssub: left out" in result.said
    assert "left out" not in upscale(tmp_path / "in.mkv", tmp_path / "out.mkv").said
    assert streams(tmp_path / "out.mkv") == ["video", "subtitle"]


@pytest.mark.parametrize("picture", ["png", "jpg"])
@pytest.mark.parametrize(
    ("before", "after"), [("mkv", "mp4"), ("mp4", "mkv"), ("mp4", "mp4"), ("mkv", "mkv")]
)
def test_covers_come_along(tmp_path, film, upscale, before, after, picture):
    cover = tmp_path / f"cover.{picture}"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=40x60", "-frames:v", 1, cover)
    path = tmp_path / f"in.{before}"
    if before == "mkv":
        ffmpeg(
            "-i",
            film,
            "-map",
            0,
            "-c",
            "copy",
            "-attach",
            cover,
            "-metadata:s:t",
            f"mimetype=image/{'jpeg' if picture == 'jpg' else 'png'}",
            path,
        )
    else:
        ffmpeg(
            "-i",
            film,
            "-i",
            cover,
            "-map",
            "0:v",
            "-map",
            "0:a",
            "-map",
            1,
            "-c",
            "copy",
            "-disposition:v:1",
            "attached_pic",
            path,
        )
    result = upscale(path, tmp_path / f"out.{after}")
    assert "left out" not in result.said
    with av.open(str(tmp_path / f"out.{after}")) as container:
        assert len(container.streams.audio) == 2
        covers = [
            stream for stream in container.streams.video if stream.disposition & Disposition.attached_pic
        ]
        assert [bytes(next(container.demux(stream))) for stream in covers] == [cover.read_bytes()]
    assert probe(tmp_path / f"out.{after}").frames == 25


def test_a_cover_that_the_output_cannot_hold_is_said(tmp_path, upscale):
    ffmpeg("-f", "lavfi", "-i", "color=red:s=40x60", "-frames:v", 1, tmp_path / "c.png")
    base, path = made(tmp_path / "base.mp4"), tmp_path / "in.mp4"
    cover = ["-map", 1, "-c", "copy", "-disposition:v:1", "attached_pic"]
    ffmpeg("-i", base, "-i", tmp_path / "c.png", "-map", 0, *cover, path)
    for suffix in ("mov", "webm"):
        assert f".{suffix} can't hold cover png" in upscale(path, tmp_path / f"out.{suffix}").said
    assert "cover" not in upscale(path, tmp_path / "no.mov", "--no-chapters").said


def test_what_is_not_wanted_stays_away(tmp_path, film, upscale):
    upscale(film, tmp_path / "out.mkv", "--no-audio", "--no-subtitles", "--no-chapters")
    assert streams(tmp_path / "out.mkv") == ["video"]
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.chapters() == []
        assert "title" not in container.metadata


def test_a_range_takes_its_sound_along(tmp_path, film, upscale):
    upscale(film, tmp_path / "out.mkv", "--start", "0.4", "--end", "0:00:00.8")
    assert probe(tmp_path / "out.mkv").frames == 10
    first, last = (payload(tmp_path / "out.mkv", "audio")[0][place][0] for place in (0, -1))
    assert abs(first) < 0.03
    assert abs(last - 0.4) < 0.05
    with av.open(str(tmp_path / "out.mkv")) as container:
        ends = [round(float(chapter["end"] * chapter["time_base"]), 2) for chapter in container.chapters()]
    assert ends == [0.1, 0.4]
    assert (
        "between the times that --start and --end give"
        in upscale(film, tmp_path / "no.mkv", "--start", 5, expected=1).said
    )


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_rate_stays_variable(tmp_path, upscale, suffix):
    select = "testsrc2=s=24x16:r=30:d=2,select='lt(t,1)+not(mod(n,3))'"
    path = made(tmp_path / "in.mp4", f"-fps_mode vfr {H264}", select)
    upscale(path, tmp_path / f"out.{suffix}")
    before, after = index_of(path), index_of(tmp_path / f"out.{suffix}")
    np.testing.assert_allclose(after.seconds(), before.seconds(), atol=1e-3)
    assert len(after.times) == 40


@pytest.mark.parametrize(
    ("suffix", "codec"), [(suffix, codec) for suffix, codecs in CONTAINERS.items() for codec in codecs]
)
def test_the_shape_of_the_picture_stays(tmp_path, upscale, suffix, codec):
    path = made(tmp_path / "in.mp4", f"-vf setsar=32/27 {H264}")
    upscale(path, tmp_path / f"out{suffix}", "--codec", codec)
    assert index_of(tmp_path / f"out{suffix}").shown.aspect == Fraction(32, 27)


def test_a_file_that_begins_late_begins_at_once(tmp_path, upscale):
    ffmpeg("-i", made(tmp_path / "base.mp4"), "-c", "copy", "-output_ts_offset", "5", tmp_path / "late.mkv")
    result = upscale(tmp_path / "late.mkv", tmp_path / "out.mp4")
    assert "claims" not in result.output
    index = index_of(tmp_path / "out.mp4")
    assert (len(index.times), index.start_s) == (25, 0)


def test_more_bits_are_kept_where_they_fit(tmp_path, upscale):
    path = made(tmp_path / "in.mkv", "-pix_fmt yuv420p10le -c:v ffv1")
    assert "has 10 bits, the output 8" in upscale(path, tmp_path / "a.mp4").said
    assert "bits" not in upscale(path, tmp_path / "b.mkv", "--codec", "h265").said
    assert index_of(tmp_path / "b.mkv").shown.bits == 10
    upscale(path, tmp_path / "c")
    assert cv2.imread(str(tmp_path / "c" / "000000.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_interlaced_and_high_dynamic_range_are_named(tmp_path, upscale):
    source = "testsrc2=s=24x16:r=50:d=0.8,tinterlace=interleave_top,setfield=tff"
    path = made(tmp_path / "a.mp4", f"-flags +ildct+ilme {H264} -x264opts tff=1", source)
    assert "interlaced: its frames are deinterlaced" in upscale(path, tmp_path / "a.mkv").said
    tags = "format=yuv420p10le,setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    path = made(tmp_path / "b.mp4", "-c:v libx265 -x265-params log-level=error", f"{MOVING},{tags}")
    assert "high dynamic range (PQ)" in upscale(path, tmp_path / "b.mkv", expected=1).said
    assert "mapped to the standard one" in upscale(path, tmp_path / "b.mkv", "--tone-map").said
    assert index_of(tmp_path / "b.mkv").shown.transfer == 6


@pytest.mark.parametrize("name", ["a b 'q' ü 日本 %d 50%.mp4", "frame%03d.mp4", "-x.mp4"])
def test_any_name_will_do(tmp_path, upscale, name):
    (tmp_path / "in").mkdir()
    path = made(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    upscale(path, tmp_path / "out" / name)
    assert probe(tmp_path / "out" / name).frames == 25


def frames_in(folder, names, size=(16, 24)):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((*size, 3), 20 * number, np.uint8))
    return folder


def test_oddities_of_a_folder(tmp_path, upscale):
    hidden = frames_in(tmp_path / "hidden", ["1.png", "2.png", "10.png"])
    (hidden / "._2.png").write_bytes(b"\0\5\x16\7")
    upscale(hidden, tmp_path / "a", "--overwrite")
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["1.png", "10.png", "2.png"]
    double = frames_in(tmp_path / "double", ["1.png", "2.png", "2.jpg"])
    assert "'2.jpg' and '2.png' in" in upscale(double, tmp_path / "b.mp4", expected=1).said
    gap = frames_in(tmp_path / "gap", ["1.png", "2.png", "9.png"])
    assert "numbering jumps after '2.png'" in upscale(gap, tmp_path / "c.mp4", "--fps", 10).said
    assert probe(tmp_path / "c.mp4").fps == 10
    extra = frames_in(tmp_path / "extra", ["f1.png", "f2.png", "poster.png"])
    assert (
        "poster.png isn't named as the frames are ('f1.png'), and left out"
        in upscale(extra, tmp_path / "d.mp4").said
    )
    assert probe(tmp_path / "d.mp4").frames == 2
    mixed = frames_in(frames_in(tmp_path / "mixed", ["1.png"]), ["2.png"], (16, 28))
    assert "frame 1 of" in upscale(mixed, tmp_path / "e.mp4", expected=1).said
    assert (
        "leave --fps out"
        in upscale(made(tmp_path / "v.mp4"), tmp_path / "f.mp4", "--fps", 10, expected=1).said
    )


def test_a_folder_of_videos_is_each_of_them(tmp_path, upscale):
    folder = frames_in(tmp_path / "videos", ["poster.jpg"])
    for name in ("a.mp4", "b.ts", "b.mov", "sub/c.mkv"):
        (folder / name).parent.mkdir(exist_ok=True)
        made(folder / name, f"{H264} -t 0.2")
    (folder / "broken.mp4").write_text("hello")
    result = upscale(folder, tmp_path / "out", "--format", "mkv", expected=1)
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == ["a.mkv", "b.mov.mkv", "b.ts.mkv", "sub/c.mkv"]
    assert "error: '" in result.said
    assert "broken.mp4" in result.said
    assert result.stdout.count("5 frames of 96x64") == 4
    upscale(folder / "a.mp4", folder / "b.ts", tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["a.mp4", "b.mp4"]
    assert "several videos can't go into one file" in upscale(folder, tmp_path / "x.mp4", expected=1).said


def test_damage_has_a_status_of_its_own(tmp_path, upscale):
    path = made(tmp_path / "in.mp4", f"{H264} -movflags +faststart", f"{MOVING},noise=alls=60:allf=t")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    result = upscale(path, tmp_path / "out.mp4", expected=3)
    assert "is damaged: " in result.said
    assert 5 < probe(tmp_path / "out.mp4").frames < 25
    path.write_bytes(path.read_bytes()[:300])
    assert "expected a video at" in upscale(path, tmp_path / "no.mp4", expected=1).said
    assert not (tmp_path / "no.mp4").exists()


def test_another_size_is_resampled_and_said(tmp_path, upscale):
    path = made(tmp_path / "in.mp4")
    result = upscale(path, tmp_path / "a.mp4", "--height", 32)
    assert "frames of 96x64 from the network are resampled to 48x32" in result.said
    assert (probe(tmp_path / "a.mp4").height, probe(tmp_path / "a.mp4").width) == (32, 48)
    assert "resampled to 48x32" in upscale(path, tmp_path / "b.mp4", "--scale", 2).said
    assert "leave one out" in upscale(path, tmp_path / "c.mp4", "--scale", 2, "--height", 32, expected=1).said


def test_a_preview_shows_bicubic_to_the_left(tmp_path, upscale):
    path = made(tmp_path / "in.mkv", "-c:v ffv1 -pix_fmt bgr0")
    upscale(
        path, tmp_path / "a.mkv", "--preview", 0.2, "--codec", "ffv1", "--crop-compare", tmp_path / "crop.png"
    )
    frames = np.array(list(read_frames(tmp_path / "a.mkv")))
    assert frames.shape == (5, 64, 192, 3)
    np.testing.assert_array_equal(frames[:, :, :96], bicubic_up(np.array(list(read_frames(path, 0, 5)))))
    assert cv2.imread(str(tmp_path / "crop.png")).shape == (64, 192, 3)  # all of these small frames


def test_the_newest_completed_run_is_taken(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setenv("FEDVSR_RUNS", str(tmp_path / "runs"))
    made(tmp_path / "in.mp4")

    def call():
        words = ["upscale", "--device", "cpu", "--tile", "0", "--overwrite", str(tmp_path / "in.mp4")]
        return CliRunner().invoke(app, [*words, str(tmp_path / "out.mp4")])

    assert "there is no completed run in" in call().stderr
    for name, started, ended in (
        ("old", 1, "completed"),
        ("new", 2, "completed"),
        ("failed", 3, "no clients"),
    ):
        run = tmp_path / "runs" / name
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints" / "best.safetensors").write_bytes(checkpoint.read_bytes())
        lines = [
            {"phase": "start", "time": f"2026-01-0{started}T00:00:00", "rounds": 1},
            {"phase": "end", "outcome": ended},
        ]
        (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = call()
    assert result.exit_code == 0, result.output
    assert str(Path("new", "checkpoints", "best.safetensors")) in result.stderr.replace("\n", "")
