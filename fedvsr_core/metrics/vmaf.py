"""VMAF, by the libvmaf inside the ffmpeg that the package imageio-ffmpeg brings."""

import importlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fedvsr_core.errors import MissingToolError, ShapeError
from fedvsr_core.metrics.per_frame import Frames, Scores, comparable

MODELS = ("vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1")
PIXELS = "yuv420p, BT.601, limited range"
"""What libvmaf is given; other matrices, ranges and depths give other scores."""
_SMALLEST = 17
"""Height and width below which libvmaf fails."""


@dataclass(frozen=True)
class Vmaf:
    """VMAF of one clip.

    Attributes:
        per_frame: From 0 to 100, shape (T,). A perfect copy gets 97.43 in the first frame and wherever
            nothing moves, not 100.
        mean: Mean of `per_frame`, what tables print.
        harmonic_mean: ``T / sum(1 / (v + 1)) - 1``.
        model: The model, such as ``vmaf_v0.6.1``.
        libvmaf: Version of the library.
        ffmpeg: Version of the program.
    """

    per_frame: Scores
    mean: float
    harmonic_mean: float
    model: str
    libvmaf: str
    ffmpeg: str


def vmaf(output: Frames, target: Frames, fps: float = 25, *, model: str = "vmaf_v0.6.1") -> Vmaf:
    """Compare a clip with its ground truth as viewers would; swapping the two changes the result.

    VMAF looks at luma and at the motion from frame to frame, so whole clips in their order are scored. The
    model assumes 1080p seen from three screen heights: only scores of one resolution compare.

    Args:
        output: uint8 clip (T, H, W, 3), RGB, at least 17 pixels high and wide.
        target: The same for the ground truth.
        fps: Frames a second of both.
        model: One of `MODELS`.

    Returns:
        The scores, with the versions that made them.

    Raises:
        MissingToolError: If there is no ffmpeg with libvmaf.
        ShapeError: If the two differ in shape or length, aren't uint8 RGB clips, or are too small.

    Source: Netflix, libvmaf.
    """
    comparable(output, target)
    if output.ndim != 4:
        raise ShapeError(f"VMAF compares clips (T, H, W, 3), got {output.shape}")
    with open_vmaf(fps, model=model) as scorer:
        for frame, truth in zip(output, target, strict=True):
            scorer.add(frame, truth)
        return scorer.result()


class VmafScorer:
    """Takes the frames of two clips in pairs; memory doesn't grow with their number. See `open_vmaf`."""

    def __init__(self, folder: Path, fps: float, model: str) -> None:
        self._folder = folder
        self._fps = fps
        self._model = model
        self._frames = 0
        self._size = (0, 0)
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, output: Frames, target: Frames) -> None:
        """Take the next frame (H, W, 3) of both clips.

        Raises:
            ShapeError: If the two differ, are too small, or aren't of the size of the frames before.
        """
        comparable(output, target)
        height, width = output.shape[:2]
        if min(height, width) < _SMALLEST:
            raise ShapeError(f"VMAF needs at least {_SMALLEST}x{_SMALLEST} pixels, got {width}x{height}")
        if self._process is None:
            self._size = (height, width)
            self._process = self._start(height, width)
        elif self._size != (height, width):
            raise ShapeError(
                f"frames must have one size, got {width}x{height} after {self._size[1]}x{self._size[0]}"
            )
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(np.ascontiguousarray(output).data)
            pipe.write(np.ascontiguousarray(target).data)
        except BrokenPipeError:
            self._fail()
        self._frames += 1

    def result(self) -> Vmaf:
        """The scores of all frames so far; nothing can be added afterwards.

        Raises:
            ShapeError: If there were no frames.
        """
        if self._process is None:
            raise ShapeError("VMAF needs at least one frame, got none")
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            self._fail()
        if self._process.wait() != 0:
            self._fail()
        report = json.loads((self._folder / "vmaf.json").read_text())
        scores = np.array([frame["metrics"]["vmaf"] for frame in report["frames"]])
        if len(scores) != self._frames:
            raise MissingToolError(f"libvmaf scored {len(scores)} of {self._frames} frames; {_REMEDY}")
        return Vmaf(
            per_frame=scores,
            mean=float(report["pooled_metrics"]["vmaf"]["mean"]),
            harmonic_mean=float(report["pooled_metrics"]["vmaf"]["harmonic_mean"]),
            model=self._model,
            libvmaf=str(report["version"]),
            ffmpeg=ffmpeg_version(find_ffmpeg()),
        )

    def close(self) -> None:
        """End the program if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _start(self, height: int, width: int) -> subprocess.Popen[bytes]:
        # One stream of frames twice as high, output above target: two streams can come apart, of which the
        # filter would say nothing. RGB of full size is cut before anything is subsampled.
        luma = (
            "scale=out_color_matrix=bt601:out_range=limited:flags=bicubic,format=yuv420p,setpts=PTS-STARTPTS"
        )
        graph = (
            f"split[a][b];[a]crop={width}:{height}:0:0,{luma}[d];[b]crop={width}:{height}:0:{height},{luma}[r];"
            f"[d][r]libvmaf=model='version={self._model}':n_threads=2:log_fmt=json:log_path=vmaf.json"
        )
        words = [find_ffmpeg(), "-hide_banner", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        words += ["-s", f"{width}x{2 * height}", "-r", f"{self._fps:g}", "-i", "pipe:0"]
        words += ["-filter_complex", graph, "-f", "null", "-"]
        with (self._folder / "errors").open("wb") as errors:
            return subprocess.Popen(words, stdin=subprocess.PIPE, stderr=errors, cwd=self._folder)

    def _fail(self) -> None:
        said = (self._folder / "errors").read_text(errors="replace").strip().splitlines()
        raise MissingToolError(f"libvmaf failed: {said[-1] if said else 'no reason given'}; {_REMEDY}")


@contextmanager
def open_vmaf(fps: float = 25, *, model: str = "vmaf_v0.6.1") -> Iterator[VmafScorer]:
    """Start scoring a clip frame by frame.

    Args:
        fps: Frames a second.
        model: One of `MODELS`.

    Yields:
        What takes the frames.

    Raises:
        MissingToolError: If there is no ffmpeg with libvmaf.
        ShapeError: If there is no such model.
    """
    if model not in MODELS:
        raise ShapeError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
    find_ffmpeg()
    with TemporaryDirectory(prefix="vmaf-") as folder:
        scorer = VmafScorer(Path(folder), fps, model)
        try:
            yield scorer
        finally:
            scorer.close()


@lru_cache(maxsize=1)
def find_ffmpeg() -> str:
    """The ffmpeg of imageio-ffmpeg, which has libvmaf.

    Raises:
        MissingToolError: If the package is missing, or its ffmpeg lacks libvmaf.
    """
    try:
        program = str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:  # RuntimeError: a package without a binary
        raise MissingToolError(f"VMAF needs the package imageio-ffmpeg; {_REMEDY}") from error
    if " libvmaf " not in _said(program, "-filters"):
        raise MissingToolError(f"'{program}' has no libvmaf; {_REMEDY}")
    return program


@lru_cache(maxsize=4)
def ffmpeg_version(program: str) -> str:
    """What an ffmpeg calls its version."""
    return _said(program, "-version").split()[2]


def _said(program: str, option: str) -> str:
    done = subprocess.run([program, "-hide_banner", option], capture_output=True, text=True, check=True)
    return done.stdout


_REMEDY = 'install it with: pip install "fedvsr[metrics]", and unset IMAGEIO_FFMPEG_EXE'
