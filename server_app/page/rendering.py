"""A page from its template and its data: one file that asks for nothing and runs no script but its own."""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from fedvsr_core.printable import printable
from server_app.page.chart_script import CHARTS
from server_app.page.crops_script import CROPS
from server_app.page.grid_script import GRID
from server_app.page.intervals_script import INTERVALS
from server_app.page.page_script import END, START
from server_app.page.style_sheet import STYLE
from server_app.page.templates import BASE, COMPARISON, PIECES, RUN

_SCRIPT = START + CHARTS + INTERVALS + GRID + CROPS + END
_DIGITS = 5
"""Significant digits of the numbers behind charts."""
_LONGEST = 300
"""Characters of a word from outside."""


def page(template: str, *, data: Mapping[str, Any], live: str = "", **words: object) -> bytes:
    """Fill a template.

    Args:
        template: ``run`` or ``comparison``.
        data: What the scripts draw: ``charts`` (as `server_app.page.charts`), ``grid`` and ``crops`` or None,
            and where there are any, ``intervals``.
        live: What tells this version of the page from the next; empty where nobody serves it.
        words: What the template names.
    """
    environment = Environment(
        loader=DictLoader({"base": BASE, "pieces": PIECES, "run": RUN, "comparison": COMPARISON}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    text = environment.get_template(template).render(
        data={"live": live, **data},
        style=Markup(STYLE),
        script=Markup(_SCRIPT),
        policy=_policy(served=bool(live)),
        **words,
    )
    return text.encode("utf-8", "backslashreplace")


def shown(text: object, most: int = _LONGEST) -> str:
    """A word from outside, as long as a page has room for, without characters that move or hide others."""
    word = printable(str(text))
    return word if len(word) <= most else f"{word[: most - 1]}\u2026"


def rounded(values: Iterable[float | None]) -> list[float | None]:
    """Numbers as short as a chart needs them; None for what is missing or not finite."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")
        for value in values
    ]


def _policy(*, served: bool) -> str:
    """What the browser lets the page do: run these scripts, show pictures that it holds, and no more."""
    sources = {
        "default-src": "'none'",
        "script-src": _digest(_SCRIPT),
        "style-src": _digest(STYLE),
        "img-src": "data:",
        "connect-src": "'self'" if served else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {source}" for name, source in sources.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
