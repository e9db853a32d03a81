"""What a client keeps from round to round: in its Flower state, and in a file that outlives the run."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
from flwr.app import ArrayRecord, RecordDict
from safetensors.numpy import load, save

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, record_from_arrays, to_arrays
from fedvsr_core.flower.home import flower_home

_ROUND = re.compile(r"memory-(\d{6,})")


class ClientState:
    """Named arrays of one client in one run, by the round that left them.

    The server says which round of this client was accepted last; only what that round left is recalled. So a
    client whose reply was lost or refused, and one that repeats the round in which the server was killed,
    continue from the state that the server assumes. What that round and the newest one left is kept, nothing
    older.

    Args:
        state: The node's ``context.state``, which lives as long as the run.
        folder: Where the same is written, for a run that is resumed and for a SuperNode that is restarted.
        last_accepted: The last round whose update entered the model; 0 if none has.
    """

    def __init__(self, state: RecordDict, folder: Path, last_accepted: int) -> None:
        self._state = state
        self._folder = folder
        self._last_accepted = last_accepted

    def recall(self) -> NamedArrays:
        """The arrays of the last accepted round; empty before there was one.

        Raises:
            FederationError: If they are missing.
        """
        if not self._last_accepted:
            return {}
        name = _name(self._last_accepted)
        if isinstance(record := self._state.get(name), ArrayRecord):
            return to_arrays(record)
        if (path := self._path(name)).exists():
            return dict(load(path.read_bytes()))
        raise FederationError(
            f"this client must still have what it kept in round {self._last_accepted}, but '{path}' is"
            " missing; bring it back, or start a new run"
        )

    def keep(self, server_round: int, arrays: NamedArrays) -> None:
        """Keep arrays of a round for the next one.

        Args:
            server_round: The round.
            arrays: Any; an equal round replaces what it left before.
        """
        name, needed = _name(server_round), {_name(self._last_accepted), _name(server_round)}
        self._folder.mkdir(parents=True, exist_ok=True)
        copies = {key: np.ascontiguousarray(array).reshape(array.shape) for key, array in arrays.items()}
        write_atomically(self._path(name), save(copies))
        self._state[name] = record_from_arrays(copies)
        for old in [key for key in self._state if _ROUND.fullmatch(key) and key not in needed]:
            del self._state[old]
        for path in self._folder.glob("memory-*.safetensors"):
            if path.stem not in needed:
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"


def state_folder(node_config: Mapping[str, object], run: str, client: str) -> Path:
    """Where this client writes what it keeps: below `keys.MEMORY_DIR` of its site, else below Flower's home.

    The server says which run it is, but never a path.

    Args:
        node_config: What this node was started with.
        run: The run's name.
        client: The client's name.
    """
    root = node_config.get(keys.MEMORY_DIR)
    base = Path(str(root)).expanduser() if root else flower_home() / "fedvsr-memory"
    return base / quote(f"run-{run}", safe="") / quote(f"client-{client}", safe="")


def _name(server_round: int) -> str:
    return f"memory-{server_round:06d}"
