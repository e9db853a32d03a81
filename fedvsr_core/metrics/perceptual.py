"""LPIPS, the distance of two frames in the features of a network that knows natural images."""

import importlib
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedvsr_core.errors import MissingToolError, ShapeError
from fedvsr_core.metrics.backbones import Net, load_backbone
from fedvsr_core.metrics.colour import Channel
from fedvsr_core.metrics.per_frame import Frames, Scores, batches, comparable

_SMALLEST = {"alex": 31, "vgg": 16}
"""Height and width that a backbone needs to have a last layer."""


class LPIPS:
    """Learned perceptual image patch similarity, version 0.1 with its linear heads; 0 is identical.

    Made by the package ``lpips`` (the heads are its own) from RGB frames as v / 127.5 - 1, in full size.
    Tables of video super-resolution print the mean over frames, then over clips, of ``alex``.

    Args:
        net: ``alex``, or ``vgg``, which gives other values.
        weights: File of the backbone's weights, or None to look for it; see `fedvsr_core.metrics.backbones`.
        device: Where to compute; None: the CPU.

    Attributes:
        made_by: The versions that made the numbers.

    Raises:
        MissingToolError: If the package or the backbone's weights are missing.
        CheckpointError: If the file holds other weights than the known ones.
        ShapeError: If there is no such backbone.

    Source: Zhang et al., CVPR 2018, eq. 1.
    """

    def __init__(
        self,
        net: Net = "alex",
        weights: str | Path | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        if net not in _SMALLEST:
            raise ShapeError(f"net must be one of {', '.join(_SMALLEST)}, got {net!r}")
        package = _package()
        state = load_backbone(net, weights)
        self._net = net
        self.made_by = f"lpips {version('lpips')}, version 0.1, {net}"
        self._device = device or torch.device("cpu")
        # The package makes a random backbone first: that must not move the state of anyone's random numbers.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = package.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
        own = {name: name.split(".", 1)[1] for name in model.net.state_dict()}  # slice2.3.weight -> 3.weight
        model.net.load_state_dict({name: state[f"features.{layer}"] for name, layer in own.items()})
        self._model = model.eval().requires_grad_(False).to(self._device)

    def __call__(
        self, output: Frames, target: Frames, *, channel: Channel = "rgb", border: int = 0
    ) -> float | Scores:
        """Compare frames.

        Args:
            output: uint8 frame (H, W, 3) or clip (T, H, W, 3), RGB.
            target: The same for the ground truth.
            channel: ``rgb``; LPIPS knows no other.
            border: Pixels cut off on all four sides first.

        Returns:
            A number for a frame, an array (T,) for a clip; 0 for identical frames.

        Raises:
            ShapeError: If the two differ in shape, aren't uint8 RGB, or are too small for the backbone.
        """
        if channel != "rgb":
            raise ShapeError(f"LPIPS is defined on rgb, got channel {channel!r}")
        frames, truth = comparable(output, target, border=border)
        if min(frames.shape[-3:-1]) < _SMALLEST[self._net]:
            raise ShapeError(
                f"LPIPS ({self._net}) needs at least {_SMALLEST[self._net]} pixels in height and width,"
                f" got {frames.shape[-2]}x{frames.shape[-3]}"
            )
        pairs = batches(frames, truth, device=self._device)
        scores = np.concatenate([self._distance(*pair) for pair in pairs])
        return float(scores[0]) if output.ndim == 3 else scores

    @torch.inference_mode()
    def _distance(self, output: Tensor, target: Tensor) -> Scores:
        pair = [frames.permute(0, 3, 1, 2).float() / 127.5 - 1 for frames in (output, target)]
        return np.asarray(self._model(*pair).flatten().cpu().numpy(), np.float64)


def _package() -> Any:  # noqa: ANN401 (a module)
    try:
        return importlib.import_module("lpips")
    except ImportError as error:
        raise MissingToolError(
            'LPIPS needs the package lpips; install it with: pip install "fedvsr[metrics]"'
        ) from error
