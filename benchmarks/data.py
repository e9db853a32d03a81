"""Training samples a second: from a clip store, from PNG frames read whole, and from decoding the video.

    python benchmarks/data.py                 # one thread; JSON to stdout; needs pip install imageio-ffmpeg

A sample is a window of 16 frames with a crop of 256x256 high-resolution pixels and its low-resolution frames,
from 1280x720 clips of 32 frames made in code, as uint8 tensors. The PNG way is that of the usual toolboxes:
each frame of the window is read whole, high and low, and then cropped. The ways are timed in turn, warm.
`to-png` is their speed over the PNG way's (goal for the store: at least 20). `memory-mb` is the most that a
process of its own needs beyond its start, for a client with few and with many clips of a store: mapped pages
don't count, since the system takes them back.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from fedvsr.data.prepare import Preparation, prepare
from fedvsr_core.data.degradation import Bicubic
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.loaders import Batches
from fedvsr_core.data.shots import Shot
from fedvsr_core.data.store import ClipStore
from fedvsr_core.data.synthetic import Texture
from fedvsr_core.metrics.vmaf import find_ffmpeg
from fedvsr_core.settings import Training

FRAMES, HEIGHT, WIDTH = 32, 720, 1280
TRAINING = Training(steps=1, batch=1, window=16, patch=64, clip_norm=None, upload="weights")
DEGRADATION = {"_target_": "fedvsr_core.data.degradation.Bicubic", "scale": 4}


def make_clips(folder: Path, clips: int) -> None:
    """Write clips as PNG frames, as videos, and as clip stores with low-resolution frames and without."""
    for number in range(clips):
        # Texture that moves by whole pixels, with grain: PNGs of it are as large as those of real video.
        scene = Texture(0, number, 1, HEIGHT + FRAMES, WIDTH + FRAMES)[0:1, :, :][0]
        rng = np.random.default_rng(number)
        clip = np.stack([scene[time : time + HEIGHT, time : time + WIDTH] for time in range(FRAMES)])
        clip = np.clip(clip + rng.normal(0, 1.5, clip.shape), 0, 255).astype(np.uint8)
        for kind, frames in (("GT", clip), ("BIx4", Bicubic(4)(clip))):
            (folder / "png" / kind / f"{number:03d}").mkdir(parents=True)
            for time_, frame in enumerate(frames):
                cv2.imwrite(
                    str(folder / "png" / kind / f"{number:03d}" / f"{time_:08d}.png"), frame[..., ::-1]
                )
        (folder / "video").mkdir(exist_ok=True)
        size = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "25", "-i", "-"]
        coded = [
            *size,
            "-c:v",
            "libx264",
            "-crf",
            "23",
            "-pix_fmt",
            "yuv420p",
            f"{folder}/video/{number:03d}.mp4",
        ]
        subprocess.run([find_ffmpeg(), "-v", "error", *coded], input=clip.tobytes(), check=True)
    shots = [(shot, False) for shot in detect(str(folder / "png" / "GT"), scale=4).train()]
    for name, degradation in (("store", DEGRADATION), ("store-high", None)):
        how = Preparation(4, degradation, None, 0.0, 1)
        assert not [one for one in prepare(shots, folder / name, how, workers=1) if one.problem]


def ways(folder: Path) -> dict[str, list[Shot]]:
    """The same clips, from where each way reads them."""
    gt, low = (detect(str(folder / "png" / kind), scale=scale) for kind, scale in (("GT", 4), ("BIx4", 1)))
    png = [Shot(one.name, one.high, other.high) for one, other in zip(gt.train(), low.train(), strict=True)]
    bicubic = Bicubic(4)
    return {
        "store": ClipStore(folder=str(folder / "store"), scale=4).train(),
        "store, low made": [
            shot.degraded(bicubic) for shot in ClipStore(folder=str(folder / "store-high"), scale=4).train()
        ],
        "png": png,
        "video": [shot.degraded(bicubic) for shot in detect(str(folder / "video"), scale=4).train()],
    }


def time_samples(batches: Batches, first: int, count: int) -> float:
    """Seconds a sample."""
    began = time.perf_counter()
    for index in range(first, first + count):
        batches.sample(batches.draw(index))
    return (time.perf_counter() - began) / count


def speeds(folder: Path, repeats: int) -> dict[str, object]:
    """Samples a second of each way, and how they compare with the PNG way."""
    readers = {name: Batches(shots, TRAINING, seed=0, workers=0) for name, shots in ways(folder).items()}
    counts = {"store": 40, "store, low made": 10, "png": 2, "video": 1}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for batches in readers.values():
        time_samples(batches, 0, 2)
    time_samples(readers["store"], 0, 100)  # until every page has been touched
    for turn in range(repeats):
        for name, batches in readers.items():
            seconds[name].append(time_samples(batches, 100 * turn, counts[name]))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "samples-per-second": {name: 1 / taken for name, taken in medians.items()},
        "to-png": {name: medians["png"] / taken for name, taken in medians.items()},
    }


def _own_memory() -> int:
    used = psutil.Process().memory_info()
    return used.rss - used.shared


def _grow(folder: str, copies: int, answer: "multiprocessing.Queue[float]") -> None:
    shots = ClipStore(folder=folder, scale=4).train() * copies
    before = _own_memory()
    batches = Batches(shots, TRAINING, seed=0, workers=0)
    most = 0
    for index in range(200):
        batches.sample(batches.draw(index))
        most = max(most, _own_memory() - before)
    answer.put(most / 2**20)


def memory(folder: Path, copies: int) -> float:
    """Most memory beyond the start, of a process that trains on the store's clips so many times over."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_grow, args=(str(folder / "store"), copies, answer))
    process.start()
    found = answer.get()
    process.join()
    return float(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(folder, arguments.clips)
        few, many = 1, 50
        used = {str(arguments.clips * copies): memory(folder, copies) for copies in (few, many)}
        result = {
            "clips": arguments.clips,
            "window": TRAINING.window,
            "crop": 4 * TRAINING.patch,
            "png-mb": sum(file.stat().st_size for file in folder.glob("png/GT/000/*")) / FRAMES / 2**20,
            **speeds(folder, arguments.repeats),
            "memory-mb": used,
        }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
