"""Fixtures of small videos on disk: files, folders of frames, copies of published datasets, clip stores."""

import cv2
import numpy as np
import pytest

from fedvsr.data.prepare import Preparation, prepare
from fedvsr_core.data.frames import read_frames
from fedvsr_core.data.layouts.videos import Videos
from fedvsr_core.data.sample import _BIKES, _find


@pytest.fixture
def noise():
    """Seven frames (7, 24, 32, 3) of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (7, 24, 32, 3), dtype=np.uint8)


@pytest.fixture
def write_video():
    """Writes frames to a lossless video file."""

    def write(path, frames, fps=12.5):
        size = frames.shape[2], frames.shape[1]
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), fps, size)
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return path

    return write


@pytest.fixture
def write_images():
    """Writes frames to PNG files of one folder."""

    def write(folder, frames, pattern="frame{}.png"):
        folder.mkdir(parents=True)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / pattern.format(number)), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return folder

    return write


@pytest.fixture
def fake(tmp_path, noise, write_video, write_images):
    """Makes a small copy of a published dataset; returns its folder."""

    def reds(folder):
        for clip in ("000", "001", "002", "011"):
            frames = np.full((100, 16, 24, 3), int(clip), np.uint8)
            write_images(folder / "train_sharp" / clip, frames, "{:08d}.png")
            write_images(folder / "train_sharp_bicubic" / "X4" / clip, frames[:, ::4, ::4] + 1, "{:08d}.png")

    def vid4(folder):
        for clip, frames in {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}.items():
            write_images(folder / "GT" / clip, np.zeros((frames, 16, 24, 3), np.uint8), "{:08d}.png")
            write_images(folder / "BDx4" / clip, np.zeros((frames, 4, 6, 3), np.uint8), "{:08d}.png")

    def spmcs(folder):
        for clip in ("car05_001", "hdclub_003"):
            write_images(folder / clip / "truth", noise, "{:04d}.png")
            write_images(folder / clip / "input4", noise[:, ::4, ::4], "{:04d}.png")

    def udm10(folder):
        write_images(folder / "GT" / "archpeople", noise, "{:04d}.png")

    def vimeo90k(folder):
        frames = np.zeros((7, 256, 448, 3), np.uint8)
        for clip in ("00001/0001", "00001/0002", "00002/0001"):
            (folder / "sequences" / clip).parent.mkdir(parents=True, exist_ok=True)
            write_images(folder / "sequences" / clip, frames, "im{}.png")
        for clip in folder.glob("sequences/*/*"):
            for number in range(7, 0, -1):
                (clip / f"im{number - 1}.png").rename(clip / f"im{number}.png")
        (folder / "sep_trainlist.txt").write_text("00001/0001\n00001/0002\n")
        (folder / "sep_testlist.txt").write_text("00002/0001\n\n")

    def kinetics(folder):
        for label in ("abseiling", "zumba"):
            (folder / label).mkdir(parents=True)
            for number in range(2):
                write_video(folder / label / f"abcdefghij{number}_000010_000020.mp4", noise)

    def videos(folder):
        folder.mkdir()
        for name in "abcd":
            write_video(folder / f"{name}.mkv", noise)

    def pairs(folder):
        for name in "ab":
            write_images(folder / "high" / name, noise)
            write_images(folder / "low" / name, noise[:, ::4, ::4])

    def store(folder):
        videos(folder.with_name("source"))
        layout = Videos(folder=str(folder.with_name("source")), max_frames=None, scale=4)
        how = Preparation(4, None, None, 0, 1)
        list(prepare([(shot, False) for shot in layout.train()], folder, how, workers=1))

    makers = {
        maker.__name__: maker
        for maker in (reds, vid4, spmcs, udm10, vimeo90k, kinetics, videos, pairs, store)
    }

    def make(name):
        folder = tmp_path / name
        assert name in makers, f"write a small copy of '{name}' here: tests of all datasets run over it"
        makers[name](folder)
        return folder

    make.names = sorted(makers)
    return make


@pytest.fixture
def fill():
    """Prepares shots as a clip store, or completes it; returns what was done for each."""

    def prepare_all(folder, *shots, held_out=(), workers=1, **changed):
        how = {
            "scale": 4,
            "degradation": {"_target_": "fedvsr_core.data.degradation.Bicubic", "scale": 4},
            "shot_threshold": None,
            "duplicate_threshold": 0.0,
            "min_frames": 1,
        }
        chosen = [(shot, False) for shot in shots] + [(shot, True) for shot in held_out]
        return list(prepare(chosen, folder, Preparation(**how | changed), workers=workers))

    return prepare_all


@pytest.fixture
def sample_film():
    """The frames of bikes, 640x272, with five cuts and a fast pan."""
    return read_frames(_find(_BIKES))
