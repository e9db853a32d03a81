"""Several metrics of one video at once, frame by frame, in memory that doesn't grow with its length."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, get_args

import cv2
import numpy as np
import torch

from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.names import METRICS, check_names
from fedvsr_core.metrics.per_frame import Frames, Scores
from fedvsr_core.metrics.perceptual import LPIPS
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.metrics.temporal import tlp, tof_of_pair, warping_of_pair
from fedvsr_core.metrics.vmaf import MODELS, PIXELS, VmafScorer, ffmpeg_version, find_ffmpeg, open_vmaf

Values = dict[str, Scores]
"""Values by metric, one for each frame or pair of frames."""
_Compare = Callable[[Frames, Frames], Any]


class Suite:
    """The chosen metrics, ready: what any of them lacks shows here, before a video is touched.

    Args:
        metrics: Names of `fedvsr_core.metrics.names`.
        border: Pixels cut off on all four sides before PSNR and SSIM.
        device: Where those in torch compute.

    Attributes:
        metrics: Their names.
        made_by: By metric, the tool and version that computes it, where that moves the numbers.

    Raises:
        ConfigurationError: If a name is unknown.
        MissingToolError: If a metric needs a package, program or file that isn't here.
    """

    def __init__(self, metrics: Sequence[str], *, border: int, device: torch.device) -> None:
        check_names(metrics)
        self.metrics = tuple(metrics)
        self.made_by = {
            name: f"Farneback's flow of OpenCV {cv2.__version__}"
            for name in ("tof", "warping")
            if name in metrics
        }
        on = device if device.type == "cuda" else None  # MPS knows no float64
        self._of_frames: dict[str, _Compare] = {
            f"{name}-{channel}": partial(metric, channel=channel, border=border, device=on)
            for name, metric in (("psnr", psnr), ("ssim", ssim))
            for channel in get_args(Channel)
            if f"{name}-{channel}" in metrics
        }
        alex = LPIPS("alex", device=device) if {"lpips", "tlp"} & set(metrics) else None
        if alex and "lpips" in metrics:
            self._of_frames["lpips"] = alex
        if "lpips-vgg" in metrics:
            self._of_frames["lpips-vgg"] = LPIPS("vgg", device=device)
        self.made_by |= {
            name: f"lpips {version('lpips')}, version 0.1, {'vgg' if name.endswith('vgg') else 'alex'}"
            for name in ("lpips", "lpips-vgg", "tlp")
            if name in metrics
        }
        self._of_pairs: dict[str, _Compare] = {}
        if "tof" in metrics:
            self._of_pairs["tof"] = tof_of_pair
        if alex and "tlp" in metrics:
            self._of_pairs["tlp"] = lambda one, other: tlp(one, other, alex)[0]
        if {"warping", "warping-truth"} & set(metrics):
            self._of_pairs["warping"] = lambda one, other: 1000 * np.array(warping_of_pair(one, other))
        if "vmaf" in metrics:
            self.made_by["vmaf"] = f"{MODELS[0]}, {PIXELS}, ffmpeg {ffmpeg_version(find_ffmpeg())}"

    @contextmanager
    def clip(self, fps: float = 25) -> Iterator["ClipScorer"]:
        """Start on a video; its frames go into what this yields."""
        with ExitStack() as stack:
            vmaf = stack.enter_context(open_vmaf(fps)) if "vmaf" in self.metrics else None
            yield ClipScorer(self._of_frames, self._of_pairs, vmaf, self.made_by)


class ClipScorer:
    """Takes the frames of one video a few at a time; made by `Suite.clip`."""

    def __init__(
        self,
        of_frames: dict[str, _Compare],
        of_pairs: dict[str, _Compare],
        vmaf: VmafScorer | None,
        made_by: dict[str, str],
    ) -> None:
        self._of_frames = of_frames
        self._of_pairs = of_pairs
        self._vmaf = vmaf
        self._made_by = made_by
        self._values: dict[str, list[Any]] = {name: [] for name in (*of_frames, *of_pairs)}
        self._last: tuple[Frames, Frames] | None = None

    def add(self, outputs: Frames, targets: Frames) -> None:
        """Take the next frames.

        Args:
            outputs: uint8 (N, H, W, 3), RGB.
            targets: The same for the ground truth.

        Raises:
            ShapeError: If a metric can't compare them.
        """
        for name, metric in self._of_frames.items():
            self._values[name] += list(metric(outputs, targets))
        for output, target in zip(outputs, targets, strict=True):
            if self._vmaf:
                self._vmaf.add(output, target)
            if self._last and self._of_pairs:
                pair = [np.stack(both) for both in zip(self._last, (output, target), strict=True)]
                for name, metric in self._of_pairs.items():
                    self._values[name].append(metric(*pair))
            self._last = (output.copy(), target.copy())

    def values(self) -> Values:
        """What came out; nothing can be added afterwards."""
        found = {name: np.array(values, np.float64) for name, values in self._values.items()}
        if "warping" in found:
            both = found.pop("warping").reshape(-1, 2)
            found |= {"warping": both[:, 0], "warping-truth": both[:, 1]}
        if self._vmaf:
            result = self._vmaf.result()
            found["vmaf"] = result.per_frame
            self._made_by["vmaf"] = (
                f"{result.model}, {PIXELS}, libvmaf {result.libvmaf}, ffmpeg {result.ffmpeg}"
            )
        return {name: found[name] for name in METRICS if name in found}
