"""Whether runs had the same budget, read from their journals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedvsr_core.errors import FederationError
from server_app.records.history import starts, trainings
from server_app.records.journal import Line

_START = {
    "model": "model",
    "data": "data",
    "parameters": "number of parameters",
    "rounds": "rounds asked for",
    "names": "clients",
    "initial-weights": "initial weights",
    "code": "code",
    "server-code": "code of the server",
    "versions": "versions of the software",
    "device": "device",
}
_CLIENT = {"examples": "partition", "steps": "local steps", "batches": "batches", "device": "device"}
_FAULTS = ("error", "timeout", "unsent", "lost", "declined")
"""Why a reply is missing whatever the strategy; other refusals may be a strategy's own doing."""


def check_equal(journals: Mapping[str, Sequence[Line]]) -> None:
    """See whether runs at one seed are comparable.

    All must have started from the same weights with the same code, have trained the same rounds, asked the
    same clients in each and lost the same ones to faults; and each client must have trained on the same
    batches (of equal size, from its own partition) for the same number of steps. Clients whose reply was left
    out tell nothing of their batches.

    Args:
        journals: The journal of each run, by its name.

    Raises:
        FederationError: If they aren't; the sentence names the first difference.
    """
    (name, reference), *others = journals.items()
    expected = dict(_facts(reference))
    for other, lines in others:
        facts = dict(_facts(lines))
        for what in dict.fromkeys([*expected, *facts]):
            both = what in expected and what in facts
            if (both and expected[what] == facts[what]) or (not both and what[-1] in _CLIENT.values()):
                continue
            raise FederationError(
                f"'{name}' and '{other}' aren't comparable: {', '.join(what)}:"
                f" {expected.get(what, 'nothing')!s:.100} and {facts.get(what, 'nothing')!s:.100};"
                " remove the folder of the one that is wrong, and continue"
            )


def _facts(lines: Sequence[Line]) -> Iterable[tuple[tuple[str, ...], Any]]:
    """What must be equal, by what it is."""
    for key, what in _START.items():
        values = [start[key] for start in starts(lines) if key in start]
        if values:  # more than one where a run was continued by other code or on another machine
            yield (what,), values[0] if all(value == values[0] for value in values) else values
    for line in trainings(lines):
        title = f"round {line['round']}"
        asked = [row["client"] for row in (*line["clients"], *line["refused"])]
        yield (title, "clients that took part"), sorted(asked)
        lost = sorted(row["client"] for row in line["refused"] if row["code"] in _FAULTS)
        yield (title, "clients lost to faults"), lost
        for row in line["clients"]:
            for key, what in _CLIENT.items():
                if key in row:
                    yield (title, row["client"], what), row[key]
