"""The updates of a round in each other's company: what is far from the others' counts less, or not at all."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.settings import Screening
from server_app.aggregation.blockwise import cosines
from server_app.aggregation.values import Shortened
from server_app.asking import Refusal
from server_app.updates import Measured, ReportedUpdate

_FEWEST = 3
"""Of fewer, nobody knows which one is unusual."""


@dataclass(frozen=True)
class Screened:
    """What is left of a round's updates.

    Attributes:
        updates: By the names of their clients; lengths and counts are what they may be.
        refused: Who was left out.
        facts: For the journal, by client: ``norm``, that of its update as it came; ``shortened``, the share
            of it that counts, where that isn't all; ``agreement``, the median cosine of the angles to the
            others' updates; ``counted-examples``, where those aren't all.
    """

    updates: list[ReportedUpdate]
    refused: list[Refusal]
    facts: Mapping[str, dict[str, float]]


class Screen:
    """Judges the updates of one round after the last has come, so that their order doesn't matter.

    Where there are three or more: an update may be as long as a small multiple of the lower median norm,
    beyond that it is shortened, far beyond it is refused. Its further records are refused far beyond theirs
    and never shortened, since clients remember what they sent. It is refused if it points against most of
    the others, or agrees with them far less than the others do with each other. A number of examples beyond
    a multiple of the lower median counts as that multiple. Medians over pairs of clients are what a minority
    can't move: a sum of all would hold the lie as well.

    Args:
        limits: How far from the others is too far.
        sent: The arrays that clients start from.
        extra: Names of the further records of an update.
        private_norm: The largest norm of an honest update whose client says that it has added noise.
        counts_only: Whether the strategy bounds updates itself, so that only numbers are judged here.
    """

    def __init__(
        self,
        limits: Screening,
        sent: NamedArrays,
        *,
        extra: Sequence[str] = (),
        private_norm: float = 0.0,
        counts_only: bool = False,
    ) -> None:
        self._limits, self._sent, self._records = limits, sent, (keys.ARRAYS, *extra)
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
            for record in self._records:
                left, far = self._of_usual_length(left, record, facts)
                refused += far
            left, opposed = self._of_one_mind(left, facts)
            refused += opposed
        return Screened(self._with_usual_counts(left, facts), refused, facts)

    def _of_usual_length(
        self, updates: Sequence[ReportedUpdate], record: str, facts: Mapping[str, dict[str, float]]
    ) -> tuple[list[ReportedUpdate], list[Refusal]]:
        lengths = [_measured(update, record).norm for update in updates]
        usual = _usual(lengths)
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
        moved = [update for update in updates if update.model.norm]
        if len(moved) < _FEWEST:
            return list(updates), []
        between = cosines([update.arrays for update in moved], self._sent)
        agreements = {
            update.client: statistics.median_high(np.delete(row, number).tolist())
            for number, (update, row) in enumerate(zip(moved, between, strict=True))
        }
        usual = statistics.median_low(agreements.values())
        bounds = [-1.0 if self._limits.opposed is None else self._limits.opposed]
        if self._limits.agreement is not None and usual > 0:
            bounds.append(self._limits.agreement * usual)
        least = max(bounds)
        left, refused = [], []
        for update in updates:
            agreement = agreements.get(update.client, math.inf)
            if update.client in agreements:
                facts[update.client]["agreement"] = agreement
            if agreement < least:
                words = f"median cosine {agreement:.2f}, usual {usual:.2f}"
                reason = f"its update doesn't go the others' way ({words})"
                refused.append(_refusal(update, "opposed", reason))
            else:
                left.append(update)
        return left, refused

    def _with_usual_counts(
        self, updates: Sequence[ReportedUpdate], facts: Mapping[str, dict[str, float]]
    ) -> list[ReportedUpdate]:
        most = _times(self._limits.examples_factor, _usual([update.examples for update in updates]))
        counted = []
        for update in updates:
            if update.examples > most:
                facts[update.client]["counted-examples"] = most
            counted.append(replace(update, examples=min(update.examples, most)))
        return counted


def _measured(update: ReportedUpdate, record: str) -> Measured:
    return update.model if record == keys.ARRAYS else update.extra[record]


def _refusal(update: ReportedUpdate, code: str, reason: str) -> Refusal:
    return Refusal(update.client, update.node, code, reason)


def _usual(values: Sequence[float]) -> float:
    """The lower median, which no minority moves beyond the others' values; infinite of fewer than three."""
    return (statistics.median_low(values) or math.inf) if len(values) >= _FEWEST else math.inf


def _times(factor: float | None, usual: float) -> float:
    return math.inf if factor is None else factor * usual
