"""Where the updates of a round wait for one another."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from fedvsr_core.checkpoints.atomic import storing
from server_app.aggregation.values import InFile
from server_app.updates import Measured, Update

U = TypeVar("U", bound=Update)

MEMORY = 1 << 27
"""Bytes of arrays that wait in memory; the others wait on disk."""


class Spool:
    """Keeps the arrays of a round's updates, so that memory doesn't grow with the number of clients.

    A context: at its end the files are gone.

    Args:
        folder: For the files; made when it is needed. What a killed process left there is removed.
        memory: Bytes that may stay in memory.
    """

    def __init__(self, folder: Path, memory: int = MEMORY) -> None:
        self._folder, self._left, self._files = folder, memory, 0

    def __enter__(self) -> Self:
        shutil.rmtree(self._folder, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def keep(self, update: U) -> U:
        """The same update, its arrays in memory while there is room, else in files.

        Raises:
            StorageError: If the disk is full, or may not be written to.
        """
        extra = {name: self._kept(measured) for name, measured in update.extra.items()}
        return replace(update, model=self._kept(update.model), extra=extra)

    def _kept(self, measured: Measured) -> Measured:
        size = sum(array.nbytes for array in measured.arrays.values())
        if size <= self._left:
            self._left -= size
            return measured
        with storing(self._folder):
            self._folder.mkdir(exist_ok=True)
        self._files += 1
        return Measured(InFile(self._folder / str(self._files), measured.arrays), measured.norm)
