"""The scalars of a secure round: what is summed over clients beside their updates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from fedvsr_core.flower import keys
from fedvsr_core.flower.training_report import TrainingReport

SHARES, ROOTS, SQUARES = "shares", "roots", "squares"
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
        """What the journal has: sums of what clients report, beside those that weights are made of."""
        kept = (keys.CLIENTS, keys.TOLD_LOSSES, *_OF_REPORT)
        return {
            name: float(value)
            for name, value in self.by_name.items()
            if name in kept or name.startswith(keys.LOSS)
        }


def names_of(parts: Iterable[str]) -> list[str]:
    """The names of all scalars, in their order.

    Args:
        parts: Those of the loss.
    """
    losses = [keys.LOSS, *(keys.LOSS_PART_PREFIX + part for part in sorted(parts))]
    return [keys.CLIENTS, SHARES, ROOTS, SQUARES, keys.TOLD_LOSSES, *losses, *_OF_REPORT]


def scalars_of(report: TrainingReport, root: float, parts: Iterable[str]) -> list[Fraction]:
    """One client's scalars, in the order of `names_of`.

    Args:
        report: What it would tell.
        root: Of its share.
        parts: Of the loss.
    """
    share = Fraction(root) ** 2
    told = 0 if report.withheld else 1
    losses = {keys.LOSS: report.loss} | {
        keys.LOSS_PART_PREFIX + part: report.parts.get(part, 0.0) for part in parts
    }
    values = {
        keys.CLIENTS: Fraction(1),
        SHARES: share,
        ROOTS: Fraction(root),
        SQUARES: share**2,
        keys.TOLD_LOSSES: Fraction(told),
        **{name: Fraction(loss if told else 0) for name, loss in losses.items()},
        keys.NUM_EXAMPLES: Fraction(report.examples),
        keys.NUM_STEPS: Fraction(report.steps),
        keys.SECONDS: Fraction(report.seconds),
    }
    return [values[name] for name in names_of(parts)]


def parts_of(loss: Mapping[str, object]) -> list[str]:
    """The names of the parts of a loss, from its settings."""
    parts = loss.get("parts")
    return sorted(map(str, parts)) if isinstance(parts, Mapping) else []
