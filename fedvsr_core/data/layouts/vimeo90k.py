"""Vimeo-90K septuplets: 64612 clips of 7 frames, 448x256, to train on, and 7824 to test.

Source: Xue et al., IJCV 2019.
"""

from pathlib import Path

from fedvsr_core.components import Count
from fedvsr_core.data.layouts.entry import Entry
from fedvsr_core.data.layouts.layout import Layout, first_folder
from fedvsr_core.errors import DataError

_FILES = tuple(f"im{number}.png" for number in range(1, 8))


class Vimeo90K(Layout):
    """``sequences/00001/0001/im1.png`` with the lists ``sep_trainlist.txt`` and ``sep_testlist.txt``.

    Attributes:
        folder: Folder ``vimeo_septuplet``.
        low: Folder of the low-resolution frames, arranged like ``sequences``; a relative one lies in
            ``folder``. None has them made.
        scale: Factor from low to high resolution.
    """

    title = "Vimeo-90K septuplets"

    def __init__(self, *, folder: str, low: str | None, scale: Count) -> None:
        super().__init__(folder, scale)
        self.low = None if low is None else first_folder([self.folder / low], "low-resolution frames")

    def entries(self) -> list[Entry]:
        """The clips of both lists, those of the test list held out.

        Raises:
            DataError: If a list is missing, or a clip is on both.
        """
        train, test = (self._listed(f"sep_{split}list.txt") for split in ("train", "test"))
        if both := sorted(set(train) & set(test)):
            raise DataError(f"{len(both)} clips are on both lists of '{self.folder}', such as '{both[0]}'")
        sequences = first_folder([self.folder / "sequences"], "the frames of Vimeo-90K")
        return [
            Entry(
                name,
                sequences / name,
                None if self.low is None else self.low / name,
                held_out=held_out,
                frames=7,
                files=_FILES,
                size=(256, 448),
            )
            for names, held_out in ((train, False), (test, True))
            for name in names
        ]

    def _listed(self, file: str) -> list[str]:
        path = self.folder / file
        if not path.is_file():
            raise DataError(f"expected the list '{path}' of Vimeo-90K, found none; copy it from the archive")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"'{path}' can't be read as a list of Vimeo-90K: {error}") from error
        return [Path(line.strip()).as_posix() for line in lines if line.strip()]
