"""Reading, writing and upscaling video files: what they take beside the network.

    python benchmarks/video.py                              # one process; JSON to stdout
    OMP_WAIT_POLICY=passive python benchmarks/video.py      # on a busy machine: look at the seconds of CPU

Everything is measured in turn, several times on the same machine, after the network has run once; medians
are given. The share of reading and writing is that of upscaling 320x180 with the network `recurrent` and the
default encoding: by the clock inside a job, by how much longer a job takes than the network alone, and by
the same difference in seconds of CPU, in which torch's waiting counts unless it is told to be passive. A
window is five frames of a file with a key frame each 128, read as far behind one at its start, in its middle
and at its end.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from fedvsr.inference.frame_writer import Output, Timing, open_writer
from fedvsr_core.components import build
from fedvsr_core.data.decoding import decode
from fedvsr_core.data.frame_index import index_of
from fedvsr_core.data.frames import Frame, read_frames
from fedvsr_core.data.synthetic import Texture
from fedvsr_core.inference.upscale import upscale_frames
from server_app.config import compose

HEIGHT, WIDTH = 180, 320
WINDOW = 5
GROUP = 128


def moving(frames: int) -> Iterator[Frame]:
    """A texture that moves, (180, 320, 3)."""
    texture = Texture(0, 0, 1, HEIGHT + 64, WIDTH + 64)[:, :, :][0]
    for number in range(frames):
        top, left = (round(32 + 30 * np.sin(number / period)) for period in (11, 17))
        yield np.ascontiguousarray(texture[top : top + HEIGHT, left : left + WIDTH])


@dataclass(frozen=True)
class Spent:
    """Seconds that something took, of the wall and of all cores."""

    wall: float
    cpu: float


def spent(work: Callable[[], object]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def clocked(items: Iterable[Frame], seconds: list[float]) -> Iterator[Frame]:
    """Pass things on, and add up how long each was waited for."""
    items = iter(items)
    while True:
        began = time.perf_counter()
        item = next(items, None)
        seconds[0] += time.perf_counter() - began
        if item is None:
            return
        yield item


def write(path: Path, frames: Iterator[Frame]) -> None:
    with open_writer(Output(path, Timing.constant(25)), overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)


def windows(path: Path, frames: int, count: int, repeats: int) -> dict[str, float]:
    """Windows a second of CPU at three places of a file, each as far behind a key frame as at the others."""
    index_of(path)
    groups = {"start": 0, "middle": frames // 2 // GROUP, "end": frames // GROUP - 3}
    behind = np.random.default_rng(0).integers(0, 2 * GROUP, count)
    seconds: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(repeats):
        for name, group in groups.items():
            starts = (group * GROUP + behind).tolist()
            seconds[name].append(spent(lambda starts=starts: some_windows(path, starts)).cpu)
    return {name: round(count / median(each), 1) for name, each in seconds.items()}


def some_windows(path: Path, starts: list[int]) -> None:
    for start in starts:
        assert len(list(decode(path, start, start + WINDOW))) == WINDOW


def upscaling(folder: Path, frames: int, repeats: int) -> dict[str, Any]:
    """Seconds of a job and of its parts by themselves, and what share of it isn't the network's."""
    model = build(compose({"overrides": "model=recurrent"}).model).eval()
    source, target = folder / "in.mp4", folder / "out.mp4"
    write(source, moving(frames))
    lows = list(read_frames(source))

    def network(frames: Iterable[Frame]) -> Iterator[Frame]:
        return upscale_frames(model, frames, device=torch.device("cpu"), chunk=16)

    sum(1 for _ in network(lows[:24]))  # kernels are chosen and memory is taken at the first time
    jobs, alone, inside = list[Spent](), list[Spent](), list[float]()
    for _ in range(repeats):
        reading, waiting = [0.0], [0.0]
        highs = clocked(network(clocked(read_frames(source), reading)), waiting)
        jobs.append(spent(lambda highs=highs: write(target, highs)))
        inside.append(1 - (waiting[0] - reading[0]) / jobs[-1].wall)
        alone.append(spent(lambda: sum(1 for _ in network(lows))))
    done = list(read_frames(target))
    parts = {
        "job": jobs,
        "network": alone,
        "reading": [spent(lambda: sum(1 for _ in read_frames(source))) for _ in range(repeats)],
        "writing": [spent(lambda: write(target, iter(done))) for _ in range(repeats)],
    }
    pairs = list(zip(jobs, alone, strict=True))
    return {
        "seconds": {name: round(median(each.wall for each in part), 2) for name, part in parts.items()},
        "seconds of CPU": {name: round(median(each.cpu for each in part), 2) for name, part in parts.items()},
        "share of reading and writing": {
            "inside a job": round(median(inside), 3),
            "beyond the network alone": round(median(1 - net.wall / job.wall for job, net in pairs), 3),
            "in seconds of CPU": round(median(1 - net.cpu / job.cpu for job, net in pairs), 3),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--long", type=int, default=9000, help="Frames of the long file.")
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        results = upscaling(Path(folder), given.frames, given.repeats)
        longer = Path(folder, "long.mp4")
        write(longer, moving(given.long))
        results["windows a second of CPU"] = windows(longer, given.long, given.windows, given.repeats)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
