"""DISTS, the distance of two frames in structure and texture, as VGG16 sees them."""

import hashlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedvsr_core.errors import CheckpointError, MissingToolError
from fedvsr_core.metrics.backbones import load_backbone
from fedvsr_core.metrics.per_frame import Frames, Scores, batches, comparable

_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Convolutions of VGG16, by torchvision's numbers; each stage but the first begins with an L2 pooling."""
_CHANNELS = (3, 64, 128, 256, 512, 512)
_SMALL = 1e-6
_SHA256 = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"


class DISTS:
    """Deep image structure and texture similarity; 0 is identical.

    For the frame itself and the features after each stage of VGG16, means over the frame (texture) and
    correlations (structure) are compared, channel by channel, and added with learned weights. Unlike LPIPS it
    hardly minds that a texture is another instance of itself. Frames keep their size; the authors shrink
    images to 256 pixels first.

    Args:
        weights: File of VGG16, as for `fedvsr_core.metrics.backbones.load_backbone`.
        device: Where to compute; None: the CPU.

    Raises:
        MissingToolError: If the package DISTS-pytorch, whose file of learned weights is read, or VGG16's
            weights are missing.
        CheckpointError: If a file holds other weights than the known ones.

    Source: Ding et al., TPAMI 2022, eq. 3 to 6.
    """

    made_by = "weights of DISTS-pytorch 0.1, VGG16"

    def __init__(self, weights: str | Path | None = None, *, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cpu")
        state = load_backbone("vgg", weights)
        self._state = {name: tensor.to(self._device) for name, tensor in state.items()}
        self._texture, self._structure = (part.to(self._device) for part in _learned())
        window = torch.hann_window(5, periodic=False, device=self._device)[1:-1]  # of three taps
        self._window = window.outer(window) / window.outer(window).sum()
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=self._device)[:, None, None]
        self._std = torch.tensor([0.229, 0.224, 0.225], device=self._device)[:, None, None]

    def __call__(self, output: Frames, target: Frames) -> float | Scores:
        """Compare frames.

        Args:
            output: uint8 frame (H, W, 3) or clip (T, H, W, 3), RGB.
            target: The same for the ground truth.

        Returns:
            A number for a frame, an array (T,) for a clip.

        Raises:
            ShapeError: If the two differ in shape or aren't uint8 RGB.
        """
        pairs = batches(*comparable(output, target), device=self._device)
        scores = np.concatenate([self._distance(*pair) for pair in pairs])
        return float(scores[0]) if output.ndim == 3 else scores

    @torch.inference_mode()
    def _distance(self, output: Tensor, target: Tensor) -> Scores:
        layers = zip(*(self._layers(frames) for frames in (output, target)), strict=True)
        textures = self._texture.split(_CHANNELS)
        structures = self._structure.split(_CHANNELS)
        total = torch.zeros(len(output), dtype=torch.float64, device=self._device)
        for (x, y), texture, structure in zip(layers, textures, structures, strict=True):
            x, y = x.flatten(2).double(), y.flatten(2).double()  # (N, C, HW)
            mean_x, mean_y = x.mean(2), y.mean(2)
            x, y = x - mean_x[..., None], y - mean_y[..., None]
            shared = (x * y).mean(2)
            both = (x * x).mean(2) + (y * y).mean(2)
            alike = (2 * mean_x * mean_y + _SMALL) / (mean_x**2 + mean_y**2 + _SMALL)
            correlated = (2 * shared + _SMALL) / (both + _SMALL)
            total += ((1 - alike) * texture + (1 - correlated) * structure).sum(1)
        return np.asarray(total.cpu().numpy(), np.float64)

    def _layers(self, frames: Tensor) -> Iterator[Tensor]:
        """The frames (N, 3, H, W) in [0, 1], and what each stage makes of them."""
        x = frames.permute(0, 3, 1, 2).float() / 255
        yield x
        x = (x - self._mean) / self._std
        for number, stage in enumerate(_STAGES):
            if number:
                kernel = self._window.expand(x.shape[1], 1, 3, 3)
                x = (F.conv2d(x * x, kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
            for layer in stage:
                weight, bias = (self._state[f"features.{layer}.{kind}"] for kind in ("weight", "bias"))
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            yield x


def _learned() -> tuple[Tensor, Tensor]:
    """The weights of texture and of structure, float64 (1475,) each; together they sum to one."""
    spec = find_spec("DISTS_pytorch")
    folders = [*map(Path, (spec.submodule_search_locations or []) if spec else []), Path(sys.prefix)]
    file = next((folder / "weights.pt" for folder in folders if (folder / "weights.pt").is_file()), None)
    if spec is None or file is None:
        raise MissingToolError(
            'DISTS needs the package DISTS-pytorch; install it with: pip install "fedvsr[metrics]"'
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != _SHA256:
        raise CheckpointError(f"'{file}' must be that of DISTS-pytorch 0.1, got SHA-256 {digest[:16]}...")
    state = torch.load(file, map_location="cpu", weights_only=True)
    parts = [state[name].flatten().double() for name in ("alpha", "beta")]
    total = parts[0].sum() + parts[1].sum()
    return parts[0] / total, parts[1] / total
