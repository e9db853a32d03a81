"""Which layout a folder has."""

from pathlib import Path

from fedvsr_core.components import Count
from fedvsr_core.data.layouts.benchmark import TRUTHS, VID4, Benchmark
from fedvsr_core.data.layouts.kinetics import Kinetics
from fedvsr_core.data.layouts.layout import Layout, folders_in
from fedvsr_core.data.layouts.pairs import Pairs
from fedvsr_core.data.layouts.reds import Reds
from fedvsr_core.data.layouts.videos import Videos
from fedvsr_core.data.layouts.vimeo90k import Vimeo90K
from fedvsr_core.data.shots import Dataset, Shot
from fedvsr_core.data.store import ClipStore, is_store
from fedvsr_core.errors import DataError


class Split:
    """Clips to train on from one dataset, and a folder to score on, laid out in any way that `detect` knows.

    Attributes:
        to_train: Its clips to train on are taken.
        held_out_folder: Folder to score on: its held-out clips if its layout has some, else all of them.
            None takes the held-out clips of ``to_train``.
        held_out_low_folder: Folder with low-resolution recordings of the clips to score on; None has them
            made.
        max_frames: Frames taken of each of your own clips in that folder at most, from its start; None takes
            all. They are decoded together.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.

    Raises:
        DataError: If the folder to score on is the one to train on, or one of them lies in the other.
    """

    def __init__(
        self,
        *,
        to_train: Dataset,
        held_out_folder: str | None,
        held_out_low_folder: str | None = None,
        max_frames: Count | None,
        scale: Count,
    ) -> None:
        if held_out_folder is not None and isinstance(to_train, Layout | ClipStore):
            _check_apart(to_train.folder, Path(held_out_folder))
        self.to_train = to_train
        self.held_out_folder = held_out_folder
        self.held_out_low_folder = held_out_low_folder
        self.max_frames = max_frames
        self.scale = scale

    def train(self) -> list[Shot]:
        """The clips to train on; raises DataError if there are none that can be used."""
        return self.to_train.train()

    def held_out(self) -> list[Shot]:
        """The clips to score on; raises as `train`."""
        if self.held_out_folder is None:
            return self.to_train.held_out()
        dataset = detect(
            self.held_out_folder,
            self.held_out_low_folder,
            scale=self.scale,
            max_frames=self.max_frames,
        )
        return dataset.held_out() or dataset.train()


class Folders:
    """A folder to train on and one to score on, both laid out in any way that `detect` knows.

    Attributes:
        folder: Folder to train on.
        held_out_folder: Folder to score on: its held-out clips if its layout has some, else all of them.
            None takes the held-out clips of ``folder``.
        low_folder: Folder with low-resolution recordings of the clips to train on, as `Pairs` has them; None
            has them made.
        held_out_low_folder: The same for the clips to score on.
        max_frames: Frames taken of each clip of your own at most, from its start, to train and to score on;
            None takes all.
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
    """

    def __init__(
        self,
        *,
        folder: str,
        held_out_folder: str | None,
        low_folder: str | None = None,
        held_out_low_folder: str | None = None,
        max_frames: Count | None,
        scale: Count,
    ) -> None:
        self.folder, self.low_folder = folder, low_folder
        self.held_out_folder, self.held_out_low_folder = held_out_folder, held_out_low_folder
        self.max_frames = max_frames
        self.scale = scale

    def train(self) -> list[Shot]:
        """The clips of the folder.

        Raises:
            DataError: If it is missing, holds nothing that can be used, or overlaps with the other folder.
        """
        return self._split().train()

    def held_out(self) -> list[Shot]:
        """The clips to score on; raises as `train`."""
        return self._split().held_out()

    def _split(self) -> Split:
        to_train = detect(self.folder, self.low_folder, scale=self.scale, max_frames=self.max_frames)
        return Split(
            to_train=to_train,
            held_out_folder=self.held_out_folder,
            held_out_low_folder=self.held_out_low_folder,
            max_frames=self.max_frames,
            scale=self.scale,
        )


def _check_apart(folder: Path, held_out: Path) -> None:
    """Refuse folders that overlap: they are searched with all folders under them."""
    first, second = (path.expanduser().resolve() for path in (folder, held_out))
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise DataError(
            f"the held-out folder must lie apart from the folder to train on, got '{held_out}' and"
            f" '{folder}'; move one of them, so that nobody trains on what is scored"
        )


def detect(
    folder: str, low_folder: str | None = None, *, scale: int, max_frames: int | None = None
) -> Layout | ClipStore:
    """Recognise a published dataset, a clip store, or else a folder of videos.

    Args:
        folder: Where it lies.
        low_folder: Folder with low-resolution recordings, if it is a folder of videos that has some.
        scale: Factor from low to high resolution.
        max_frames: Frames to take of each clip of a folder of videos at most; None takes all.

    Raises:
        DataError: If there is no such folder.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder '{root}'")
    if low_folder is not None:
        return Pairs(folder=folder, low_folder=low_folder, max_frames=max_frames, scale=scale)
    if is_store(root):
        return ClipStore(folder=folder, scale=scale)
    if (root / "train_sharp").is_dir() or (root / "train" / "train_sharp").is_dir():
        return Reds(folder=folder, scale=scale)
    if (root / "sep_trainlist.txt").is_file():
        return Vimeo90K(folder=folder, low=None, scale=scale)
    truth = next((root / name for name in TRUTHS if (root / name).is_dir()), None)
    clips = folders_in(truth or root)
    if set(VID4) <= {clip.name for clip in clips}:
        return Benchmark(folder=folder, low=None, clips=VID4, scale=scale)
    if truth or (clips and all(any((clip / name).is_dir() for name in TRUTHS) for clip in clips)):
        return Benchmark(folder=folder, low=None, clips=None, scale=scale)
    if clips and all(next(clip.glob("*_[0-9]*_[0-9]*.mp4"), None) for clip in clips):
        return Kinetics(
            folder=folder,
            annotations=None,
            labels=None,
            clips_per_label=None,
            max_frames=max_frames,
            fps=None,
            scale=scale,
        )
    return Videos(folder=folder, max_frames=max_frames, scale=scale)
