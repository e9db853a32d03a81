"""Whose replies were left out of a run, and why, read from its journal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from server_app.records.history import natural, trainings
from server_app.records.journal import Line

PERSISTENT = 2  # rounds


@dataclass(frozen=True)
class Refused:
    """The refusals of one client for one reason.

    Attributes:
        client: Its name.
        code: The kind of reason, such as ``non-finite``.
        rounds: The rounds in which it was refused, ascending.
        reason: The sentence of the last of them.
    """

    client: str
    code: str
    rounds: tuple[int, ...]
    reason: str


def refusals(lines: Sequence[Line]) -> list[Refused]:
    """All refusals by client and code, clients in natural order."""
    by_key: dict[tuple[str, str], Refused] = {}
    for line in trainings(lines):
        for row in line["refused"]:
            key = (row["client"], row["code"])
            rounds = by_key[key].rounds if key in by_key else ()
            by_key[key] = Refused(*key, (*rounds, line["round"]), row["reason"])
    return [by_key[key] for key in sorted(by_key, key=lambda key: (natural(key[0]), key[1]))]


def persistent_offenders(lines: Sequence[Line]) -> list[str]:
    """Clients refused in at least `PERSISTENT` rounds, and more often than accepted."""
    refused: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for line in trainings(lines):
        refused.update({row["client"] for row in line["refused"]})
        accepted.update({row["client"] for row in line["clients"]})
    clients = [name for name, times in refused.items() if times >= max(PERSISTENT, accepted[name] + 1)]
    return sorted(clients, key=natural)
