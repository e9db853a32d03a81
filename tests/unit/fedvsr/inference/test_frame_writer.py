"""Promises: what is written comes back; it appears complete or not at all and replaces only its like."""

import subprocess
import sys

import numpy as np
import pytest

from fedvsr.inference.frame_writer import check_free, open_writer
from fedvsr_core.data.frames import probe, read_frames
from fedvsr_core.errors import DataError

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
SMOOTH = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[:, None], (4, 32, 48, 3))


def write(path, frames=FRAMES, *, fps=12.5, overwrite=False):
    with open_writer(path, fps=fps, overwrite=overwrite) as put:
        for frame in frames:
            put(np.ascontiguousarray(frame))


@pytest.mark.parametrize("name", ["frames", "clip.mkv"])
def test_lossless_kinds_come_back_exactly(tmp_path, name):
    write(tmp_path / name)
    np.testing.assert_array_equal(list(read_frames(tmp_path / name)), FRAMES)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.AVI"])
def test_lossy_kinds_come_back_nearly(tmp_path, name):
    write(tmp_path / name, SMOOTH)
    back = np.array(list(read_frames(tmp_path / name))).astype(int)
    assert np.abs(back - SMOOTH).mean() < 4


@pytest.mark.parametrize("fps", [24, 30000 / 1001, 12.5])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".mkv"])
def test_fps_is_kept(tmp_path, suffix, fps):
    write(tmp_path / f"clip{suffix}", fps=fps)
    assert probe(tmp_path / f"clip{suffix}").fps == pytest.approx(fps, abs=1e-3)


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
    with pytest.raises(DataError, match="only 0 of 0 frames could be written"):
        write(tmp_path / "clip.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed(tmp_path):
    # A limit on the size of files stands in for the full disk.
    program = f"""
import signal, resource, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.path[:0] = {sys.path!r}
import numpy as np
from pathlib import Path
from fedvsr.inference.frame_writer import open_writer
with open_writer(Path({str(tmp_path)!r}, "clip.mkv"), fps=25, overwrite=False) as put:
    for frame in np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8):
        put(frame)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "is the disk full?" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip.gif", r"must be a video \(.avi, .mkv, .mov, .mp4\) or a folder"),
        ("no/clip.mp4", "there is no folder '.*no' to write 'clip.mp4' in; create it first"),
        ("there.mp4", "there.mp4' exists already; choose another name or add --overwrite"),
    ],
)
def test_refuses(tmp_path, name, message):
    (tmp_path / "there.mp4").touch()
    with pytest.raises(DataError, match=message):
        check_free(tmp_path / name, overwrite=False)


def test_never_replaces_what_is_no_result(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.png").touch()
    (tmp_path / "clip.mp4").mkdir()
    for name in ("photos", "clip.mp4"):
        with pytest.raises(DataError, match="holds other things than a former result"):
            check_free(tmp_path / name, overwrite=True)
