"""What a chart of a page shows: lines over rounds, as numbers that the page's script draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from server_app.page.rendering import rounded, shown

COLOURS = 8
"""Lines that can be told apart; more clients than these become a mean in a band."""

Values = Mapping[float, float]
"""Values by place on the horizontal axis, such as a round."""


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: What it is.
        values: By place on the horizontal axis.
        colour: Index of a colour; None: the strong one, or a soft one for a reference.
        reference: Whether it is what others are compared with, and dashed.
        low: Lower edge of a band around it; empty: none.
        high: Upper edge.
        gaps: Whether a missing value interrupts it.
    """

    name: str
    values: Values
    colour: int | None = None
    reference: bool = False
    low: Values = field(default_factory=dict)
    high: Values = field(default_factory=dict)
    gaps: bool = False


def chart(
    name: str,
    title: str,
    lines: Sequence[Line],
    *,
    digits: int,
    over: str = "Round",
    whole: bool = True,
    from_zero: bool = False,
) -> dict[str, Any]:
    """A chart for the page's script.

    Args:
        name: Unique on the page.
        title: What it shows, with the unit.
        lines: At least one, with at least one value.
        digits: Decimals of its values.
        over: What the horizontal axis counts.
        whole: Whether it counts whole things.
        from_zero: Whether the vertical axis begins at 0.
    """
    places = sorted({place for line in lines for place in line.values})
    drawn = []
    for line in lines:
        about: dict[str, Any] = {
            "name": shown(line.name, 80),
            "y": rounded(line.values.get(place) for place in places),
            "colour": colour_of(line),
            "reference": line.reference,
            "gaps": line.gaps,
        }
        if line.low:
            about["low"] = rounded(line.low.get(place) for place in places)
            about["high"] = rounded(line.high.get(place) for place in places)
        drawn.append(about)
    return {
        "id": name,
        "title": shown(title),
        "x": places if whole else rounded(places),
        "lines": drawn,
        "digits": digits,
        "over": over,
        "whole": whole,
        "zero": from_zero,
    }


def colour_of(line: Line) -> str:
    """The name of a line's colour in the style sheet."""
    if line.colour is None:
        return "--soft" if line.reference else "--strong"
    return f"--c{line.colour % COLOURS}"


def of_many(series: Mapping[str, Values], kind: str, *, gaps: bool = False) -> list[Line]:
    """A line each for a few, a mean in a band from the lowest to the highest for many.

    Args:
        series: Values by name.
        kind: What they are, in the plural.
        gaps: As of `Line`.
    """
    if len(series) <= COLOURS:
        return [Line(name, values, index, gaps=gaps) for index, (name, values) in enumerate(series.items())]
    by_round: dict[float, list[float]] = {}
    for values in series.values():
        for place, value in values.items():
            by_round.setdefault(place, []).append(value)
    return [
        Line(
            f"mean of {len(series)} {kind}, lowest to highest",
            {place: fmean(values) for place, values in by_round.items()},
            0,
            low={place: min(values) for place, values in by_round.items()},
            high={place: max(values) for place, values in by_round.items()},
        )
    ]
