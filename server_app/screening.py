"""The updates of a round in each other's company: what is far from the others' counts less, or not at all."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.settings import Screening
from server_app.aggregation.blockwise import products
from server_app.aggregation.values import Shortened
from server_app.asking import Refusal
from server_app.norms import Norms
from server_app.updates import Measured, ReportedUpdate

_FEWEST = 3
"""Of two updates that point against each other, nobody knows which is wrong."""


@dataclass(frozen=True)
class Screened:
    """What is left of a round's updates.

    Attributes:
        updates: By the names of their clients; lengths and counts are what they may be.
        refused: Who was left out.
        facts: For the journal, by client: ``norm``, that of its update as it came; ``shortened``, the share
            of it that counts, where that isn't all; ``cosine``, of the angle to the others' directions.
    """

    updates: list[ReportedUpdate]
    refused: list[Refusal]
    facts: Mapping[str, dict[str, float]]

    @property
    def against(self) -> set[str]:
        """The clients whose update pointed against the others."""
        return {client for client, facts in self.facts.items() if facts.get("cosine", 0.0) < 0}


class Screen:
    """Judges the updates of one round after the last has come, so that their order doesn't matter.

    An update may be as long as a small multiple of the usual norm, beyond that it is shortened, far beyond it
    is refused. Its further records are refused far beyond theirs and never shortened, since clients remember
    what they sent. It is refused if it points against the others, of which there must be two or more: against
    the sum of their directions, in which each counts the same however long it is. A number of examples beyond
    a multiple of the lower median counts as that multiple.

    Args:
        limits: How far from the others is too far.
        sent: The arrays that clients start from.
        norms: What was usual in the rounds before, by the name of the record; learns from this one.
        private_norm: The largest norm of an honest update whose client says that it has added noise.
        counts_only: Whether the strategy bounds updates itself, so that only numbers are judged here.
    """

    def __init__(
        self,
        limits: Screening,
        sent: NamedArrays,
        *,
        norms: Mapping[str, Norms],
        private_norm: float = 0.0,
        counts_only: bool = False,
    ) -> None:
        self._limits, self._sent, self._norms = limits, sent, norms
        self._private_norm, self._counts_only = private_norm, counts_only

    def judge(self, updates: Sequence[ReportedUpdate]) -> Screened:
        """Judge all of them.

        Args:
            updates: Sound by themselves, in any order.
        """
        left = sorted(updates, key=lambda update: update.client)
        facts = {update.client: {"norm": update.model.norm} for update in left}
        refused: list[Refusal] = []
        if not self._counts_only:
            for record in self._norms:
                left, far = self._within_reach(left, record, facts)
                refused += far
            left, opposed = self._of_one_mind(left, facts)
            refused += opposed
        return Screened(self._with_usual_counts(left), refused, facts)

    def _within_reach(
        self, updates: Sequence[ReportedUpdate], record: str, facts: Mapping[str, dict[str, float]]
    ) -> tuple[list[ReportedUpdate], list[Refusal]]:
        lengths = [_measured(update, record).norm for update in updates]
        usual = self._norms[record].usual(lengths)
        self._norms[record].add(lengths)
        left, refused = [], []
        for update, norm in zip(updates, lengths, strict=True):
            private = self._private_norm if update.report.epsilon and record == keys.ARRAYS else 0.0
            bound = max(_times(self._limits.norm_factor, usual), private)
            longest = max(_times(self._limits.clip, usual), private) if record == keys.ARRAYS else bound
            if norm > bound:
                what = "update" if record == keys.ARRAYS else f"'{record}'"
                noise = "; its site adds more noise than privacy.least_epsilon lets through"
                reason = f"its {what} has the norm {norm:.3g}, the bound is {bound:.3g}"
                refused.append(_refusal(update, "norm", reason + (noise if update.report.epsilon else "")))
            elif norm > longest:
                share = longest / norm
                facts[update.client]["shortened"] = share
                shorter = Measured(Shortened(update.arrays, self._sent, share), longest)
                left.append(replace(update, model=shorter))
            else:
                left.append(update)
        return left, refused

    def _of_one_mind(
        self, updates: Sequence[ReportedUpdate], facts: Mapping[str, dict[str, float]]
    ) -> tuple[list[ReportedUpdate], list[Refusal]]:
        if len(updates) < _FEWEST:
            return list(updates), []
        scales = [1 / update.model.norm if update.model.norm else 0.0 for update in updates]
        dots, whole = products([update.arrays for update in updates], scales, self._sent)
        cosines = [_cosine(dot, whole) if scale else 0.0 for dot, scale in zip(dots, scales, strict=True)]
        median = statistics.median_low(cosines)
        least = _times(self._limits.opposed, median, otherwise=-math.inf)
        left, refused = [], []
        for update, cosine in zip(updates, cosines, strict=True):
            facts[update.client]["cosine"] = cosine
            if cosine < least:
                reason = (
                    f"its update doesn't go the others' way (cosine {cosine:.2f}, the median is {median:.2f})"
                )
                refused.append(_refusal(update, "opposed", reason))
            else:
                left.append(update)
        return left, refused

    def _with_usual_counts(self, updates: Sequence[ReportedUpdate]) -> list[ReportedUpdate]:
        if not updates:
            return []
        usual = statistics.median_low(update.examples for update in updates)
        most = _times(self._limits.examples_factor, usual)
        return [replace(update, examples=min(update.examples, most)) for update in updates]


def _measured(update: ReportedUpdate, record: str) -> Measured:
    return update.model if record == keys.ARRAYS else update.extra[record]


def _refusal(update: ReportedUpdate, code: str, reason: str) -> Refusal:
    return Refusal(update.client, update.node, code, reason)


def _cosine(dot: float, whole: float) -> float:
    """Of the angle between one of several unit vectors and the sum of the others.

    Args:
        dot: Its product with the sum of all.
        whole: The square of that sum.
    """
    others = math.sqrt(max(whole - 2 * dot + 1, 0.0))
    return float((dot - 1) / others) if others else 0.0


def _times(factor: float | None, usual: float, otherwise: float = math.inf) -> float:
    """A multiple of what is usual, where there is a factor and something usual, above zero."""
    return otherwise if factor is None or usual <= 0 else factor * usual
