"""Tables and numbers as Markdown text."""

import math
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; bars and line breaks inside cells are made harmless."""
    cells = [[" ".join(str(cell).replace("|", "\\|").split()) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(header), ["---"] * len(header), *cells]]


def number(value: float | str | None, digits: int) -> str:
    """A number of the journal with so many decimals; nothing for None."""
    return "" if value is None else f"{float(value):.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign and three decimals; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:+z.3f}"


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short, such as ``1-3, 7``."""
    parts: list[list[int]] = []
    for one in numbers:
        if parts and one == parts[-1][-1] + 1:
            parts[-1].append(one)
        else:
            parts.append([one])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them, such as ``4 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
