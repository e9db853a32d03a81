"""A round in which the server sees sums over clients alone, in six stages; who is left at the end counts."""

import logging
import math
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.aggregation.weights import Mixed
from fedvsr_core.errors import AggregationError, SecureError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, digest, size_bytes
from fedvsr_core.flower.records import records_of
from fedvsr_core.secure.fixed_point import FixedPoint, decode_scalars
from fedvsr_core.secure.masks import add_mask, add_scalar_masks
from fedvsr_core.secure.scalars import Sums, names_of, parts_of
from fedvsr_core.secure.session import (
    SCALARS,
    VECTOR,
    WEIGHT,
    Roster,
    needed,
    round_transcript,
    vector_transcript,
)
from fedvsr_core.secure.share import Share
from fedvsr_core.settings import Settings
from server_app.asking import Answer, Refusal, RefusedError
from server_app.deadline import Deadline
from server_app.secure_answers import (
    Masked,
    read_keys,
    read_packages,
    read_revealed,
    read_scalars,
    read_vector,
)
from server_app.secure_stages import Entries, SecureStages
from server_app.secure_sum import MaskedSum
from server_app.strategies.mean import Mean
from server_app.updates import floating

_log = logging.getLogger(__name__)
_ROUNDING = 1.001
_BLOCK = 1 << 18
"""Values that are decoded at a time."""


@dataclass(frozen=True)
class SecureMean:
    """What a secure round has come to.

    Attributes:
        arrays: Name and values of each array of the new model.
        clients: Whose updates are in it: who sent a vector, even if gone before the end.
        norm: Of the mean update.
        fixed: What was added.
        weight: Of all whose update is in it, in units of the uniform one.
    """

    arrays: NamedArrays
    clients: list[str]
    norm: float
    fixed: FixedPoint
    weight: float


@dataclass(frozen=True)
class Sent:
    """What the clients of a round are sent for training.

    Attributes:
        server_round: From 1.
        share: What weights are made of.
        arrays: The model.
        contents: All of it, by node.
        clients: Name of the client of each node.
    """

    server_round: int
    share: Share
    arrays: ArrayRecord
    contents: Mapping[int, RecordDict]
    clients: Mapping[int, str]

    @property
    def config(self) -> ConfigRecord:
        """The settings and the run, the same for all."""
        return records_of(next(iter(self.contents.values())), ConfigRecord)[keys.CONFIG]


@dataclass(frozen=True)
class Outcome:
    """A secure round, over.

    Attributes:
        mean: The new model; None if the round is void.
        here: Whose updates are in it.
        refused: Who has gone, and why.
        line: What the journal has of it.
        dead_worker: As `server_app.asking.Asking`.
    """

    mean: SecureMean | None
    here: list[str]
    refused: list[Refusal]
    line: dict[str, Any]
    dead_worker: str | None


def train_securely(
    settings: Settings, grid: Grid, strategy: Mean, sent: Sent, *, deadline: Deadline, lost: Collection[str]
) -> Outcome:
    """Take some clients through a secure round; one that can't be brought to its end is void.

    Args:
        settings: The run's.
        grid: The federation.
        strategy: Says what weights are made of.
        sent: To whom, and what.
        deadline: Of training.
        lost: Clients whose upload is lost on purpose.
    """
    facts = {"run": str(sent.config[keys.RUN]), "session": secrets.token_hex(16)}
    about = {keys.RUN: facts["run"], keys.SERVER_ROUND: sent.server_round, keys.SESSION: facts["session"]}
    least = max(needed(len(sent.clients), settings.secure.threshold), settings.cohort.min_replies)
    stages = SecureStages(grid, sent.clients, about, least)
    model_bytes = size_bytes(sent.arrays)
    secure = SecureRound(
        settings,
        stages,
        strategy,
        {**facts, "server_round": sent.server_round},
        brief_s=deadline.brief_s(model_bytes),
        lost=lost,
    )
    mean = void = None
    try:
        mean = secure.run(sent, deadline.limit_s(model_bytes))
    except (SecureError, AggregationError) as error:
        void = str(error)
        _log.warning("round %d: %s; the model stays as it was", sent.server_round, void)
    else:
        _log.info("round %d: the secure sum of %d clients", sent.server_round, len(mean.clients))
    here = mean.clients if mean else []
    return Outcome(mean, here, stages.refused, _line(stages, secure, mean, void, here), stages.dead_worker)


def _line(
    stages: SecureStages, secure: "SecureRound", mean: SecureMean | None, void: str | None, here: list[str]
) -> dict[str, Any]:
    facts: dict[str, Any] = {"stages": stages.done, "least": stages.least}
    if secure.sums is not None:
        facts["sums"] = secure.sums.report()
    if void is not None:
        facts["void"] = void
    if mean is not None:
        facts |= {"bits": mean.fixed.bits, "word-bits": mean.fixed.word_bits, "norm": mean.norm}
    line = {
        "aggregation-seconds": secure.aggregation_s,
        "bytes-down": sum(stage["bytes-down"] for stage in stages.done),
        "bytes-up": sum(stage["bytes-up"] for stage in stages.done),
        "clients": [{"client": client} for client in here],
        "refused": [refusal.row() for refusal in stages.refused],
        "secure": facts,
    }
    if longest_s := stages.longest_s.get(keys.SECURE_TRAIN):
        line["reply-seconds"] = longest_s
    return line


class SecureRound:
    """Takes the clients of one round through its stages.

    Keys, shares, training with masked scalars, the sum of the scalars, masked vectors, and their sum. A
    client that doesn't answer has gone for the rest of the round: before it has trained, it counts in no sum;
    between the two sums, in the first one only. Vectors are added as they come, and masks are made in blocks,
    so memory doesn't grow with the number of clients.

    Args:
        settings: The run's.
        stages: Asks the clients.
        strategy: Says what weights are made of.
        roster_facts: The run's name, the round and the session, as clients are told them.
        brief_s: How long the answers that take no training are waited for.
        lost: Clients whose vector is lost on purpose.

    Attributes:
        sums: Over all who have trained; None before that.
        aggregation_s: Seconds that it took to take the masks off the sum of the updates.
    """

    def __init__(
        self,
        settings: Settings,
        stages: SecureStages,
        strategy: Mean,
        roster_facts: Mapping[str, Any],
        *,
        brief_s: float,
        lost: Collection[str] = (),
    ) -> None:
        self._settings, self._stages, self._strategy = settings, stages, strategy
        self._roster_facts, self._brief_s, self._lost = roster_facts, brief_s, lost
        self.sums: Sums | None = None
        self.aggregation_s = 0.0

    def run(self, sent: Sent, train_s: float) -> SecureMean:
        """Take all stages.

        Args:
            sent: For training.
            train_s: How long its answers are waited for.

        Raises:
            SecureError: If the round is void: too few are left, or their sums can't be.
            AggregationError: If their shares have no sum.
        """
        stages = self._stages
        roster = self._enrol()
        transcript, asked = self._train(roster, sent, train_s)
        first = MaskedSum(roster, transcript, 1, asked, stages.here)
        self.sums = self._sum_scalars(first)
        asked, mixed = stages.here, self._strategy.mixed(self.sums)
        transcript = vector_transcript(transcript, first.here, asked, mixed.base, mixed.per_share)
        fixed = FixedPoint.that_holds(
            self.sums.clients * self._settings.secure.clip, self._settings.secure.bits
        )
        before = floating(sent.arrays)
        size = sum(array.size for array in before.values())
        words, weights = self._add_vectors(fixed, size, mixed)
        second = MaskedSum(roster, transcript, 2, asked, stages.here)
        revealed = self._reveal(keys.SECURE_UNMASK)
        began = time.monotonic()
        hidden = second.secrets(revealed)
        for key, sign in second.masks(hidden, VECTOR):
            add_mask(words, key, sign)
        for key, sign in second.masks(hidden, WEIGHT):
            weights = add_scalar_masks(weights, key, sign)
        weight = float(decode_scalars(weights)[0])
        if not 0 < weight <= _ROUNDING * self.sums.clients:
            raise SecureError(f"the weights of {len(second.here)} clients can't be {weight:g} together")
        mean = self._moved(before, fixed, words, weight, second.here)
        self.aggregation_s = time.monotonic() - began
        return mean

    def _enrol(self) -> Roster:
        """The first two stages; everyone's sealed packages are kept for the third."""
        stages, threshold = self._stages, self._settings.secure.threshold
        public = stages.ask(keys.SECURE_KEYS, lambda _: {}, read_keys, self._brief_s)
        roster = Roster.of(public, threshold, **self._roster_facts)
        announced: Entries = {
            keys.NAMES: roster.names,
            keys.PUBLIC_KEYS: [key for triple in roster.keys.values() for key in triple],
            keys.THRESHOLD: threshold,
        }
        self._dealt = stages.ask(
            keys.SECURE_SHARES,
            lambda _: announced,
            lambda answer: read_packages(answer, roster),
            self._brief_s,
        )
        return roster

    def _train(self, roster: Roster, sent: Sent, train_s: float) -> tuple[bytes, list[str]]:
        """The third stage; returns the transcript and who was asked."""
        here, dealt, share = self._stages.here, self._dealt, sent.share
        signatures = [dealt[client].signature for client in here]
        self._names = names_of(share.by, parts_of(self._settings.loss))

        def entries(client: str) -> Entries:
            return {
                keys.HERE: here,
                keys.SEALED: [dealt[peer].packages[client] for peer in roster.neighbours(client, here)],
                keys.SIGNATURES: signatures,
                keys.SHARE_BY: share.by,
                keys.SHARE_EXPONENT: share.exponent,
                keys.GUARD: share.guard,
            }

        self._scalars = self._stages.ask(
            keys.SECURE_TRAIN,
            entries,
            lambda answer: read_scalars(answer, len(self._names)),
            train_s,
            sent.contents,
        )
        settings = str(sent.config[keys.SETTINGS])
        return round_transcript(roster.transcript, here, digest(sent.arrays), settings, share), here

    def _sum_scalars(self, masked: MaskedSum) -> Sums:
        """The fourth stage."""
        hidden = masked.secrets(self._reveal(keys.SECURE_SCALARS))
        numbers = [sum(column) for column in zip(*self._scalars.values(), strict=True)]
        for key, sign in masked.masks(hidden, SCALARS):
            numbers = add_scalar_masks(numbers, key, sign)
        sums = Sums(dict(zip(self._names, decode_scalars(numbers), strict=True)))
        if sums.clients != len(masked.here):
            raise SecureError(f"the scalars of {len(masked.here)} clients don't add up; one of them lies")
        return sums

    def _add_vectors(self, fixed: FixedPoint, size: int, mixed: Mixed) -> tuple[np.ndarray, list[int]]:
        """The fifth stage; returns the sums, still masked."""
        here = self._stages.here
        announced: Entries = {
            keys.HERE: here,
            keys.BASE_WEIGHT: mixed.base,
            keys.WEIGHT_PER_SHARE: mixed.per_share,
        }

        def read(answer: Answer) -> Masked:
            if answer.client in self._lost:
                raise RefusedError("lost", "its upload was lost on purpose (cohort.upload_failure)")
            return read_vector(answer, size, fixed.dtype)

        words, weight = np.zeros(size, fixed.dtype), 0
        answers = self._stages.answers(keys.SECURE_VECTOR, lambda _: announced, read, self._brief_s)
        for _, masked in answers:
            words += masked.words
            weight += masked.weight
            del masked  # the next one may be as large
        return words, [weight]

    def _reveal(self, stage: str) -> dict[str, dict[str, bytes]]:
        """Shares by owner, by holder."""
        announced: Entries = {keys.HERE: self._stages.here}
        return self._stages.ask(stage, lambda _: announced, read_revealed, self._brief_s)

    def _moved(
        self, sent: NamedArrays, fixed: FixedPoint, words: np.ndarray, weight: float, here: Collection[str]
    ) -> SecureMean:
        """The model that was sent, and the mean update."""
        arrays, start, square = {}, 0, 0.0
        for name, before in sent.items():
            after = np.empty(before.size, before.dtype)
            for at in range(0, before.size, _BLOCK):
                part = words[start + at : start + min(at + _BLOCK, before.size)]
                change = fixed.decode(part) / weight
                square += float(np.dot(change, change))
                after[at : at + part.size] = before.reshape(-1)[at : at + part.size] + change
            arrays[name] = after.reshape(before.shape)
            start += before.size
        norm, rounding = math.sqrt(square), fixed.error * len(here) / weight * math.sqrt(words.size)
        if norm > self._settings.secure.clip * _ROUNDING + rounding:
            raise SecureError(
                f"the mean update has the norm {norm:.3g}, but no client's is longer than"
                f" {self._settings.secure.clip:g} (secure.clip); one of them lies"
            )
        return SecureMean(arrays, list(here), norm, fixed, weight)
