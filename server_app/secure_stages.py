"""The stages of a secure round, as the server asks them: who answers is left, and who doesn't has gone."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from flwr.app import ConfigRecord, MessageType, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.errors import SecureError
from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from server_app.asking import Answer, Asking, Refusal

Entries = Mapping[str, Any]
"""What a message says, by the keys of `fedvsr_core.flower.keys`."""

Read = TypeVar("Read")


class SecureStages:
    """Asks the clients of one round, a stage at a time.

    Args:
        grid: The federation.
        clients: Name of the client of each node that takes part.
        about: What every message says: which run, round and session this is.
        least: How many clients must be left after each stage.

    Attributes:
        least: As given.
        here: Who is left.
        done: What became of each stage, for the journal: ``stage``, ``asked``, ``answered``, ``seconds``,
            ``bytes-down`` and ``bytes-up``.
        refused: Who has gone, and why.
        longest_s: The longest time that an answer has taken, by stage.
        dead_worker: As `server_app.asking.Asking`.
    """

    def __init__(self, grid: Grid, clients: Mapping[int, str], about: Entries, least: int) -> None:
        self._grid, self._about, self.least = grid, about, least
        self._nodes = {client: node for node, client in sorted(clients.items())}
        self.here = sorted(self._nodes)
        self.done: list[dict[str, Any]] = []
        self.refused: list[Refusal] = []
        self.longest_s: dict[str, float] = {}
        self.dead_worker: str | None = None

    def ask(
        self,
        stage: str,
        entries: Callable[[str], Entries],
        read: Callable[[Answer], Read],
        timeout_s: float,
        training: Mapping[int, RecordDict] | None = None,
    ) -> dict[str, Read]:
        """Ask all who are left; returns what is read of each answer, by client.

        Args:
            stage: Its name.
            entries: What a client is told besides.
            read: As `server_app.asking.Asking`.
            timeout_s: How long answers are waited for.
            training: What each node is sent for training; None for a query.

        Raises:
            SecureError: If too few are left.
        """
        return dict(self.answers(stage, entries, read, timeout_s, training))

    def answers(
        self,
        stage: str,
        entries: Callable[[str], Entries],
        read: Callable[[Answer], Read],
        timeout_s: float,
        training: Mapping[int, RecordDict] | None = None,
    ) -> Iterator[tuple[str, Read]]:
        """The same one by one, as they come; who is left is known once all are taken."""
        began, label = time.monotonic(), stage.removeprefix("secure_")
        nodes = {self._nodes[client]: client for client in self.here}
        contents = {}
        for node, client in nodes.items():
            content = RecordDict() if training is None else training[node]
            config = records_of(content, ConfigRecord).get(keys.CONFIG, ConfigRecord())
            content[keys.CONFIG] = ConfigRecord({**dict(config), **self._about, **entries(client)})
            contents[node] = content
        asking = Asking(
            self._grid,
            contents,
            f"{MessageType.QUERY if training is None else MessageType.TRAIN}.{stage}",
            read=lambda answer: (answer.client, answer.seconds, read(answer)),
            clients=nodes,
            lifetime_s=timeout_s,
        )
        del contents
        self.here, slowest = [], 0.0
        for answer in asking.answers(timeout_s):
            if isinstance(answer, Refusal):
                self.refused.append(answer)
                continue
            client, seconds, value = answer
            del answer  # the next one may be as large
            self.here, slowest = sorted([*self.here, client]), max(slowest, seconds)
            yield client, value
            del value
        self.refused += asking.missing()
        self.longest_s[stage] = slowest
        self.dead_worker = self.dead_worker or asking.dead_worker
        self.done.append(
            {
                "stage": label,
                "asked": len(nodes),
                "answered": len(self.here),
                "seconds": time.monotonic() - began,
                "bytes-down": asking.bytes_down,
                "bytes-up": asking.bytes_up,
            }
        )
        if len(self.here) < self.least:
            raise SecureError(
                f"{self.least} clients must be left after the stage '{label}', got {len(self.here)}"
            )
