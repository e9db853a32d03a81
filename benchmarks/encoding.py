"""What encoding leaves of a model's work in the file that a person gets.

    python benchmarks/encoding.py CHECKPOINT [--frames 24] [--crf 14] [--preset superfast]

For the first frames of each sample clip: PSNR of RGB between the file and the network's own output, and the
part of the network's gain in PSNR-Y over bicubic that is left in the file. JSON to stdout.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from fedvsr.inference.encoding import Encoding
from fedvsr.inference.frame_writer import Output, Timing, open_writer
from fedvsr_core.checkpoints.store import load_model
from fedvsr_core.components import build
from fedvsr_core.data.clips import Frames
from fedvsr_core.data.degradation import bicubic_up
from fedvsr_core.data.frames import read_frames
from fedvsr_core.inference.upscale import upscale_frames
from fedvsr_core.metrics.psnr import psnr
from server_app.config import compose


def main() -> None:
    """Upscale, write, read and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--crf", type=float, default=None)
    parser.add_argument("--preset", default=None)
    options = parser.parse_args()
    model, settings = load_model(options.checkpoint), compose({})
    data, degradation = build(settings.data), build(settings.degradation)
    encoding = Encoding(crf=options.crf, preset=options.preset)
    rows = {}
    for shot in (*data.train(), *data.held_out()):
        clip = shot.between(0, min(options.frames, shot.frames)).degraded(degradation).clip()
        restored = np.stack(list(upscale_frames(model, clip.low, device=torch.device("cpu"), chunk=32)))
        written = _through_a_file(restored, encoding)
        bicubic = np.stack([bicubic_up(frame, model.scale) for frame in clip.low])
        in_y = {
            name: float(np.mean(psnr(frames, clip.high, channel="y")))
            for name, frames in (("bicubic", bicubic), ("network", restored), ("file", written))
        }
        gain, left = in_y["network"] - in_y["bicubic"], in_y["file"] - in_y["bicubic"]
        rows[shot.name] = {
            "psnr-rgb to the network's output": float(np.mean(psnr(written, restored))),
            "gain in psnr-y": gain,
            "part of it in the file": left / gain,
        }
    print(json.dumps(rows, indent=2))


def _through_a_file(frames: Frames, encoding: Encoding) -> Frames:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with open_writer(Output(path, Timing.constant(25), encoding)) as writer:
            for frame in frames:
                writer.write(frame)
        return np.stack(list(read_frames(path)))


if __name__ == "__main__":
    main()
