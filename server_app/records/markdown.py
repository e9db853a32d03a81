"""Tables and numbers as Markdown text."""

import math
import re
from collections.abc import Iterable, Sequence

from fedvsr_core.printable import printable

_LITERAL = re.compile("`[^`]*`")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; whatever is in its cells stays in them, and is shown as the text that it is."""
    texts = [[harmless(" ".join(str(value).split())).replace("|", "\\|") for value in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(header), ["---"] * len(header), *texts]]


def harmless(text: str) -> str:
    """Text without HTML, links, pictures and control characters; what stands in backticks is shown anyway."""
    text = printable(text)
    if _LITERAL.fullmatch(text):
        return text
    return text.replace("<", "&lt;").replace("](", "]\\(")


def number(value: float | str | None, digits: int) -> str:
    """A number of the journal with so many decimals; nothing for None."""
    return "" if value is None else f"{float(value):.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign and three decimals; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:+z.3f}"


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short, such as ``1-3, 7``."""
    series: list[list[int]] = []
    for value in numbers:
        if series and value == series[-1][-1] + 1:
            series[-1].append(value)
        else:
            series.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in series)


def duration(seconds: float) -> str:
    """Seconds as a person says them, such as ``4 min 20 s``."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
