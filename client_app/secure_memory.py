"""What a client keeps between the stages of a secure round, and that it answers each of them once."""

import secrets
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from fedvsr_core.errors import SecureError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays

_SESSION, _UPDATE = "secure-session", "secure-update"
_TICKET, _STAGE = "ticket", "stage"
_ABOUT = {keys.RUN: str, keys.SERVER_ROUND: int, keys.SESSION: str}
"""What says which session it is. ``1``, ``1.0`` and ``True`` are equal, and would name different files."""
_CLAIMED_S = 30 * 24 * 3600.0
"""After which no process can still have the state of that session."""
_BEFORE = {
    keys.SECURE_SHARES: keys.SECURE_KEYS,
    keys.SECURE_TRAIN: keys.SECURE_SHARES,
    keys.SECURE_SCALARS: keys.SECURE_TRAIN,
    keys.SECURE_VECTOR: keys.SECURE_SCALARS,
    keys.SECURE_UNMASK: keys.SECURE_VECTOR,
}
"""What must have been the last stage, for each but the first."""


class SecureMemory:
    """The secrets of one session, in the node's Flower state: they never touch a disk.

    A stage that has begun is over, whatever comes of it: a second answer with the same masks would show the
    difference of the two. Since a server may send two messages at once, to two processes with equal states,
    each stage is claimed by a file, which only one of them can make.

    Args:
        state: The node's ``context.state``, which lives as long as the run; changed in place.
        folder: Where stages are claimed; the same whatever the message says.
    """

    def __init__(self, state: RecordDict, folder: Path) -> None:
        self._state, self._folder = state, folder

    def begin(self, config: ConfigRecord) -> ConfigRecord:
        """Forget all earlier sessions, and open a new one.

        Args:
            config: What the server sent.

        Returns:
            What is kept, to be added to.

        Raises:
            SecureError: If it doesn't say which session.
        """
        self.forget()
        if not _is_named(config):
            raise SecureError(f"a session needs {', '.join(_ABOUT)}: a text, a number and a text")
        for claim in self._folder.glob("*"):
            with suppress(FileNotFoundError):  # another process may do the same
                if time.time() - claim.stat().st_mtime > _CLAIMED_S:
                    claim.unlink()
        kept = ConfigRecord({about: config[about] for about in _ABOUT})
        kept[_TICKET], kept[_STAGE] = secrets.token_hex(16), keys.SECURE_KEYS
        self._state[_SESSION] = kept
        return kept

    def enter(self, stage: str, config: ConfigRecord) -> ConfigRecord:
        """Go on to the next stage of the session.

        Args:
            stage: The message's type.
            config: What the server sent.

        Returns:
            What is kept, to be added to.

        Raises:
            SecureError: If there is no such session, it isn't the stage's turn, or it has been answered.
        """
        kept = self._state.get(_SESSION)
        if (
            not isinstance(kept, ConfigRecord)
            or not _is_named(config)
            or any(kept[about] != config[about] for about in _ABOUT)
        ):
            raise SecureError(f"'{stage}' belongs to no session that is open here")
        if kept[_STAGE] != _BEFORE[stage]:
            raise SecureError(f"'{stage}' must follow '{_BEFORE[stage]}', but the last was {kept[_STAGE]!r}")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            (self._folder / f"{kept[_TICKET]!s}-{stage}").touch(exist_ok=False)
        except FileExistsError as error:
            raise SecureError(f"'{stage}' of this session has been answered") from error
        kept[_STAGE] = stage
        return kept

    def keep_update(self, update: np.ndarray) -> None:
        """Keep the update of a session."""
        self._state[_UPDATE] = record_from_arrays({_UPDATE: update})

    def take_update(self) -> np.ndarray:
        """The update, which is then no longer kept."""
        record = self._state.pop(_UPDATE)
        if not isinstance(record, ArrayRecord):
            raise SecureError("a session must keep its update as an ArrayRecord")
        return to_arrays(record)[_UPDATE]

    def forget(self) -> None:
        """Keep nothing of any session."""
        for name in (_SESSION, _UPDATE):
            self._state.pop(name, None)


def _is_named(config: ConfigRecord) -> bool:
    return all(type(config.get(about)) is kind for about, kind in _ABOUT.items())
