"""Time and memory of scoring a 720p video, beside decoding it and scoring it as is usual.

    python benchmarks/evaluation.py                 # 100 frames; minutes, JSON to stdout
    python benchmarks/evaluation.py --frames 20

PSNR and SSIM in RGB of the same two videos, each way in turn. ``ours`` is what ``fedvsr evaluate`` does,
``basicsr`` decodes both and computes as BasicSR's numpy functions do (five 2D filters a channel),
``skimage`` decodes both and calls scikit-image with matching options. ``to-basicsr`` is ours over the time of
decoding plus BasicSR (goal: at most 2). Peak memory is that of a process of its own for a quarter of the
frames and for all (goal: the same).
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fedvsr.inference.encoding import Encoding
from fedvsr.inference.frame_writer import Output, Timing, open_writer
from fedvsr_core.components import build
from fedvsr_core.data.frames import Frame, read_frames
from fedvsr_core.data.sample import Sample
from fedvsr_core.evaluation.videos import Video, score_video
from fedvsr_core.metrics.suite import Suite
from server_app.config import compose

Scores = dict[str, float]


def make_videos(folder: Path, frames: int) -> tuple[Path, Path]:
    """A real 720p shot, repeated if need be, and a blurred copy; both lossless."""
    clip = Sample(scale=4).train()[0].clip().high
    paths = folder / "truth.mkv", folder / "output.mkv"
    for path, sigma in zip(paths, (0.0, 1.0), strict=True):
        with open_writer(Output(path, Timing.constant(25), Encoding("ffv1"))) as writer:
            for number in range(frames):
                frame = clip[number % len(clip)]
                writer.write(np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma)) if sigma else frame)
    return paths


def ours(truth: Path, output: Path, frames: int) -> Scores:
    """As the command does."""
    protocol = build(compose({"overrides": "protocol=vid4-rgb"}).protocol)
    suite = Suite(protocol.metrics, border=0, device=torch.device("cpu"))
    video = Video("truth", frames, partial(read_frames, truth, 0, frames))
    upscaled = {"output": read_frames(output, 0, frames)}
    found = score_video(video, {}, upscaled, suite=suite, protocol=protocol, scale=4)
    return {name: float(values.mean()) for name, values in found["output"].items()}


def per_frame(of_frame: Callable[[Frame, Frame], tuple[float, float]], *paths: Path, frames: int) -> Scores:
    """Decode both and score frame by frame."""
    pairs: Iterator[tuple[Frame, Frame]] = zip(*(read_frames(path, 0, frames) for path in paths), strict=True)
    psnr, ssim = np.mean([of_frame(output, truth) for truth, output in pairs], axis=0)
    return {"psnr-rgb": float(psnr), "ssim-rgb": float(ssim)}


def basicsr(output: Frame, truth: Frame) -> tuple[float, float]:
    """PSNR and SSIM as BasicSR's numpy functions compute them."""
    one, other = output.astype(np.float64), truth.astype(np.float64)
    psnr = 10 * np.log10(255**2 / np.mean((one - other) ** 2))
    kernel = cv2.getGaussianKernel(11, 1.5)
    window = np.outer(kernel, kernel.T)

    def smooth(plane: np.ndarray) -> np.ndarray:
        return cv2.filter2D(plane, -1, window)[5:-5, 5:-5]

    values = []
    for a, b in ((one[..., channel], other[..., channel]) for channel in range(3)):
        mean_a, mean_b = smooth(a), smooth(b)
        var_a, var_b = smooth(a**2) - mean_a**2, smooth(b**2) - mean_b**2
        covariance = smooth(a * b) - mean_a * mean_b
        c1, c2 = 6.5025, 58.5225
        top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        values.append((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())
    return float(psnr), float(np.mean(values))


def skimage(output: Frame, truth: Frame) -> tuple[float, float]:
    """The same with scikit-image."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    ssim = structural_similarity(truth, output, channel_axis=2, **options)
    return float(peak_signal_noise_ratio(truth, output, data_range=255)), float(ssim)


def decode(truth: Path, output: Path, frames: int) -> Scores:
    """Decode both, nothing else."""
    return {"frames": float(sum(1 for path in (truth, output) for _ in read_frames(path, 0, frames)))}


def peak_memory_mb(truth: Path, output: Path, frames: int) -> float:
    """Of a process that does what `ours` does."""
    words = [sys.executable, __file__, "--only", str(truth), str(output), "--frames", str(frames)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def peak_mb() -> float:
    """This process's peak; what getrusage says on Linux includes the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--only", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    frames = arguments.frames
    if arguments.only:
        ours(*arguments.only, frames)
        print(peak_mb())
        return
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        truth, output = make_videos(Path(folder), frames)
        ways = {
            "decode": partial(decode, frames=frames),
            "ours": partial(ours, frames=frames),
            "basicsr": partial(per_frame, basicsr, frames=frames),
            "skimage": partial(per_frame, skimage, frames=frames),
        }
        seconds, scores = {}, {}
        for name, way in ways.items():
            began = time.perf_counter()
            scores[name] = way(truth, output)
            seconds[name] = time.perf_counter() - began
        memory = {str(count): peak_memory_mb(truth, output, count) for count in (frames // 4, frames)}
    result = {
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "size": "1280x720",
        "frames": frames,
        "seconds": seconds,
        "to-basicsr": seconds["ours"] / seconds["basicsr"],
        "to-skimage": seconds["ours"] / seconds["skimage"],
        "scores": {name: scores[name] for name in ("ours", "basicsr", "skimage")},
        "peak-memory-mb": memory,
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
