"""Clients by rounds: who trained, who was left out and why, who wasn't asked, and with which numbers."""

import math
from collections.abc import Sequence
from typing import Any

from server_app.page.rendering import rounded, shown
from server_app.records.history import natural, starts, trainings
from server_app.records.journal import Line

CELLS = 40_000
"""Cells that a page has room for; of longer runs every so many rounds are shown."""
_MOST_CLIENTS = 400
_REASON = 200
"""Characters of a reason."""
_NUMBERS = {"weight": "weight", "loss": "loss", "seconds": "seconds"}
TRAINED, LEFT_OUT, ABSENT = "t", "x", "."


def grid(lines: Sequence[Line]) -> dict[str, Any] | None:
    """The grid for the page's script; None if no round was trained.

    Args:
        lines: The journal.
    """
    trained = trainings(lines)
    if not trained:
        return None
    names = {name for start in starts(lines) for name in start.get("names", ())}
    names |= {row["client"] for line in trained for row in (*line["clients"], *line["refused"])}
    clients = sorted(names, key=natural)[:_MOST_CLIENTS]
    step = math.ceil(len(trained) * max(len(clients), 1) / CELLS)
    kept = [line for place, line in enumerate(trained) if place % step == 0 or line is trained[-1]]
    places = {client: place for place, client in enumerate(clients)}
    states = [[ABSENT] * len(kept) for _ in clients]
    numbers: dict[str, list[list[float | None]]] = {
        name: [[None] * len(kept) for _ in clients] for name in _NUMBERS
    }
    reasons: dict[tuple[str, str], int] = {}
    why: dict[str, int] = {}
    for column, line in enumerate(kept):
        for row in line["refused"]:
            if (place := places.get(row["client"])) is not None:
                reason = (shown(row["code"], 40), shown(row["reason"], _REASON))
                states[place][column] = LEFT_OUT
                why[f"{place},{column}"] = reasons.setdefault(reason, len(reasons))
        for row in line["clients"]:
            if (place := places.get(row["client"])) is None:
                continue
            states[place][column] = TRAINED
            for name, key in _NUMBERS.items():
                value = row.get(key)
                numbers[name][place][column] = None if value is None else float(value)
    return {
        "clients": [shown(client, 64) for client in clients],
        "rounds": [line["round"] for line in kept],
        "step": step,
        "left": len(names) - len(clients),
        "states": ["".join(row) for row in states],
        "numbers": {name: [rounded(row) for row in table] for name, table in numbers.items()},
        "why": why,
        "reasons": list(reasons),
    }
