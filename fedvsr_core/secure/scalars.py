"""The scalars of a secure round: what is summed over clients beside their updates.

Sums are exact, and exact sums tell much: as many of them as there are clients tell each client's number. So
there are as few as the weights need, and shares are rounded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from fedvsr_core.flower import keys
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.secure.fixed_point import random_scalar
from fedvsr_core.secure.share import By

SHARES, ROOTS = "shares", "roots"
LEAST_TELLERS = 4
"""Of losses that weights are made of: the sums of losses, shares and roots would tell those of three. So
losses are told where as many must be left at the end."""
_ROUNDED = Context(prec=20)
"""Of a root's square: exact, it would tell as much as a third sum."""
_OF_REPORT = (keys.NUM_EXAMPLES, keys.NUM_STEPS, keys.SECONDS)


@dataclass(frozen=True)
class Sums:
    """Sums over the clients of a round, exact.

    Attributes:
        by_name: Each of `names_of`.
    """

    by_name: Mapping[str, Fraction]

    @property
    def clients(self) -> int:
        """How many they are of."""
        return int(self.by_name[keys.CLIENTS])

    def report(self) -> dict[str, float]:
        """What the journal has: sums of what clients report, and of losses if all have told theirs."""
        told = self.by_name[keys.TOLD_LOSSES] == self.clients
        return {
            name: float(value)
            for name, value in self.by_name.items()
            if name in (keys.CLIENTS, *_OF_REPORT) or (told and name.startswith(keys.LOSS))
        }


def names_of(by: By, parts: Iterable[str]) -> list[str]:
    """The names of all scalars, in their order.

    Args:
        by: What shares are made of.
        parts: Those of the loss.
    """
    weights = [SHARES, ROOTS] if by == "loss" else [SHARES]
    losses = [keys.LOSS, *(keys.LOSS_PART_PREFIX + part for part in sorted(parts))]
    return [keys.CLIENTS, *weights, keys.TOLD_LOSSES, *losses, *_OF_REPORT]


def scalars_of(
    report: TrainingReport, root: float, by: By, parts: Iterable[str], *, told: bool
) -> list[Fraction]:
    """One client's scalars, in the order of `names_of`.

    Args:
        report: What it would tell.
        root: Of its share.
        by: What shares are made of.
        parts: Of the loss.
        told: Whether losses are. If not, noise is in their place, so that the sum of the others' is none.
    """
    losses = {keys.LOSS: report.loss} | {
        keys.LOSS_PART_PREFIX + part: report.parts.get(part, 0.0) for part in parts
    }
    values = {
        keys.CLIENTS: Fraction(1),
        SHARES: Fraction(_ROUNDED.power(Decimal(root), 2)),
        ROOTS: Fraction(root),
        keys.TOLD_LOSSES: Fraction(told),
        **{name: Fraction(loss) if told else random_scalar() for name, loss in losses.items()},
        keys.NUM_EXAMPLES: Fraction(report.examples),
        keys.NUM_STEPS: Fraction(report.steps),
        keys.SECONDS: Fraction(report.seconds),
    }
    return [values[name] for name in names_of(by, parts)]


def parts_of(loss: Mapping[str, object]) -> list[str]:
    """The names of the parts of a loss, from its settings."""
    parts = loss.get("parts")
    return sorted(map(str, parts)) if isinstance(parts, Mapping) else []
