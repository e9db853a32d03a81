"""The clips of a folder as a dataset of PyTorch, for a training loop of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fedvsr.degradations import build_degradation
from fedvsr_core.data.layouts.detect import detect
from fedvsr_core.data.loaders import Batches, to_float
from fedvsr_core.errors import DataError
from fedvsr_core.settings import Training

Turn = Literal["flips", "rotations", "reversal"]


class ClipDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of low- and high-resolution windows, of any folder that ``fedvsr data check`` understands.

    An item is a window of frames and a crop of it: low (T, 3, H, W) and high (T, 3, sH, sW), RGB in [0, 1].
    In an epoch each window is taken once, in an order of the epoch; its crop and its turn are drawn by seed
    and epoch, so that a DataLoader with any number of workers gives the same.

    Args:
        folder: Videos, folders of frames, a published dataset as it unpacks, or a clip store.
        frames: Frames of a window; shorter clips are continued by reflection.
        patch: Height and width of the low-resolution crop, in pixels.
        scale: Factor from low to high resolution.
        degradation: What makes low-resolution frames: a name of ``conf/degradation``.
        held_out: Whether the dataset's held-out clips are meant.
        augment: How crops are turned at random; nothing for none.
        seed: Of all draws.

    Raises:
        DataError: If the folder has no clips, or all are smaller than the crop.
        ConfigurationError: If there is no such degradation.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        frames: int = 5,
        patch: int = 64,
        scale: int = 4,
        degradation: str = "bi",
        held_out: bool = False,
        augment: Sequence[Turn] = ("flips", "rotations", "reversal"),
        seed: int = 0,
    ) -> None:
        dataset = detect(str(folder), scale=scale)
        shots = dataset.held_out() if held_out else dataset.train()
        if not shots:
            raise DataError(f"'{folder}' has no {'held-out clips' if held_out else 'clips to train on'}")
        degrade = build_degradation(degradation, scale)
        training = Training(
            steps=1,
            epochs=1,
            batch=1,
            window=frames,
            patch=patch,
            clip_norm=None,
            upload="weights",
            augment=tuple(augment),
        )
        self._batches = Batches([shot.degraded(degrade) for shot in shots], training, seed=seed, workers=0)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0: the order of the windows, their crops and turns are another in each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._batches.num_windows

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"the dataset has {len(self)} windows, got index {index}")
        draw = self._batches.draw(self._epoch * len(self) + index % len(self))
        low, high = self._batches.sample(draw)
        cpu = torch.device("cpu")
        return to_float(low, cpu), to_float(high, cpu)
