"""Reading, writing and upscaling video files: what they take beside the network.

    python benchmarks/video.py                 # one process; JSON to stdout
    python benchmarks/video.py --frames 240

Seconds are of the wall, in turn on the same machine: compare them within one run only. The share of reading
and writing is that of upscaling 320x180 with the network `recurrent` and the default encoding. A window is
five frames of a file with a key frame each 128, read at its start, in its middle and at its end.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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


def moving(frames: int) -> Iterator[Frame]:
    """A texture that moves, (180, 320, 3)."""
    texture = Texture(0, 0, 1, HEIGHT + 64, WIDTH + 64)[:, :, :][0]
    for number in range(frames):
        top, left = (round(32 + 30 * np.sin(number / period)) for period in (11, 17))
        yield np.ascontiguousarray(texture[top : top + HEIGHT, left : left + WIDTH])


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write(path: Path, frames: Iterator[Frame]) -> None:
    with open_writer(Output(path, Timing.constant(25)), overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)


def windows(path: Path, frames: int, count: int) -> dict[str, float]:
    """Windows a second at three places of a file."""
    index_of(path)
    rng = np.random.default_rng(0)
    places = {"start": 0, "middle": frames // 2, "end": frames - 300}
    return {
        name: round(count / timed(lambda begin=begin: some_windows(path, begin, rng, count)), 2)
        for name, begin in places.items()
    }


def some_windows(path: Path, begin: int, rng: np.random.Generator, count: int) -> None:
    for start in begin + rng.integers(0, 250, count):
        assert len(list(decode(path, int(start), int(start) + WINDOW))) == WINDOW


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--long", type=int, default=9000, help="Frames of the long file.")
    parser.add_argument("--windows", type=int, default=40)
    given = parser.parse_args()
    model = build(compose({"overrides": "model=recurrent"}).model).eval()
    device = torch.device("cpu")
    with TemporaryDirectory() as folder:
        source, target, longer = (Path(folder, name) for name in ("in.mp4", "out.mp4", "long.mp4"))
        write(source, moving(given.frames))

        def network(frames: Iterator[Frame]) -> Iterator[Frame]:
            return upscale_frames(model, frames, device=device, chunk=16)

        all_of_it = timed(lambda: write(target, network(read_frames(source))))
        frames = list(read_frames(source))
        alone = timed(lambda: sum(1 for _ in network(iter(frames))))
        reading = timed(lambda: sum(1 for _ in read_frames(source)))
        highs = list(read_frames(target))
        writing = timed(lambda: write(target, iter(highs)))
        write(longer, moving(given.long))
        results = {
            "frames": given.frames,
            "seconds": round(all_of_it, 2),
            "network": round(alone, 2),
            "reading": round(reading, 2),
            "writing": round(writing, 2),
            "share of reading and writing": round(1 - alone / all_of_it, 3),
            "windows a second": windows(longer, given.long, given.windows),
        }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
