"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: ``ok``, ``warning`` for what may be meant so, or ``problem`` for what will not work.
        what: What was found, one sentence.
        remedy: What to do, if anything.
    """

    state: Literal["ok", "warning", "problem"]
    what: str
    remedy: str = ""


def ok(what: str) -> Finding:
    """As it should be."""
    return Finding("ok", what)


def warning(what: str, remedy: str) -> Finding:
    """It may be meant so."""
    return Finding("warning", what, remedy)


def problem(what: str, remedy: str) -> Finding:
    """It will not work, or isn't safe."""
    return Finding("problem", what, remedy)
