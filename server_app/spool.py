"""Where the updates of a round wait for one another."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from server_app.aggregation.values import InFile
from server_app.updates import Measured, Update

U = TypeVar("U", bound=Update)

MEMORY = 1 << 27
"""Bytes of arrays that wait in memory; the others wait on disk."""


class Spool:
    """Keeps the arrays of a round's updates, so that memory doesn't grow with the number of clients.

    Args:
        folder: Its disk takes what has no room in memory, until it is let go.
        memory: Bytes that may stay in memory.
    """

    def __init__(self, folder: Path, memory: int = MEMORY) -> None:
        self._folder, self._left = folder, memory

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
        return Measured(InFile(self._folder, measured.arrays), measured.norm)
