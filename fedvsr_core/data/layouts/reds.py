"""REDS: 240 training clips of 100 frames, 1280x720; four of them are held out as REDS4.

Source: Nah et al., NTIRE 2019 (CVPR Workshops); REDS4 as in EDVR (CVPR Workshops 2019).
"""

from fedvsr_core.components import Count
from fedvsr_core.data.degradation import Bicubic
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.data.layouts.layout import Layout, first_folder, folders_in
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError

REDS4 = frozenset({"000", "011", "015", "020"})
_FRAMES = 100


class Reds(Layout):
    """``train_sharp/000/00000000.png`` and, if it is there, ``train_sharp_bicubic/X4/000/00000000.png``.

    Both may lie in a folder ``train``, as the published archives unpack. REDS4 is never trained on.

    Attributes:
        folder: Folder that holds them.
        scale: Factor from low to high resolution; the published low-resolution frames are used at 4.
    """

    title = "REDS"

    def __init__(self, *, folder: str, scale: Count) -> None:
        super().__init__(folder, scale)

    def entries(self) -> list[Entry]:
        """All clips there are; raises DataError if there is no ``train_sharp``."""
        roots = (self.folder, self.folder / "train")
        sharp = first_folder((root / "train_sharp" for root in roots), "the sharp frames of REDS")
        low = sharp.parent / "train_sharp_bicubic" / f"X{self.scale}"
        return [
            Entry(
                clip.name,
                clip,
                low / clip.name if low.is_dir() else None,
                Bicubic(self.scale),
                held_out=clip.name in REDS4,
                frames=_FRAMES,
            )
            for clip in folders_in(sharp)
        ]

    def train(self) -> list[Shot]:
        """All clips but REDS4.

        Raises:
            DataError: If clips can't be used, or one of REDS4 is among those to train on.
        """
        shots = super().train()
        if leaked := sorted(shot.name for shot in shots if shot.name.split("[")[0] in REDS4):
            raise DataError(f"clips {', '.join(leaked)} of REDS4 must not be trained on")
        return shots
