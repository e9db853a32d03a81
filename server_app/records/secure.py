"""What a run's secure rounds were: their stages, and who went when."""

import statistics
from collections import Counter
from collections.abc import Sequence

from server_app.records.history import trainings
from server_app.records.journal import Line
from server_app.records.markdown import number, table

_NOTE = (
    "The server saw sums over the clients of a round, and no update, loss or count of a single one. So there"
    " is no table of clients."
)


def secure(lines: Sequence[Line]) -> list[str]:
    """A section of the summary; empty for a run without secure rounds.

    Args:
        lines: The journal.
    """
    facts = [line["secure"] for line in trainings(lines) if "secure" in line]
    if not facts:
        return []
    stages = [stage for of_round in facts for stage in of_round["stages"]]
    seconds: dict[str, list[float]] = {}
    asked: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    for stage in stages:
        name = stage["stage"]
        seconds.setdefault(name, []).append(float(stage["seconds"]))
        asked[name] += stage["asked"]
        gone[name] += stage["asked"] - stage["answered"]
        sent[name] += stage.get("bytes-up", 0)
    rows = [
        (
            name,
            number(statistics.fmean(seconds[name]), 1),
            number(sent[name] / max(asked[name] - gone[name], 1) / 1e6, 3),
            gone[name],
        )
        for name in seconds
    ]
    void = sum("void" in of_round for of_round in facts)
    bits = sorted({f"{each['bits']} of {each.get('word-bits')}" for each in facts if "bits" in each})
    summed = f"{len(facts) - void} of {len(facts)} rounds came to a sum, {void} were void."
    return [
        "## Secure aggregation",
        "",
        f"{summed} {_NOTE}" + (f" Bits after the point: {', '.join(bits)}." if bits else ""),
        "",
        *table(["Stage", "seconds, mean", "MB up a client", "gone"], rows),
    ]
