"""What all clients of a secure round and its server must see alike: who takes part, and in what."""

import hashlib
import json
import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fedvsr_core.errors import SecureError
from fedvsr_core.secure.agreement import agreed_key
from fedvsr_core.secure.masks import derive_key
from fedvsr_core.secure.share import Share

FEWEST = 3
"""Clients of a sum; of two, each would know the other's part."""
_ALL = 32
"""Clients that all share secrets with each other; of more, each has so many neighbours."""

SCALARS, VECTOR, WEIGHT = b"scalars", b"vector", b"weight"
"""What is masked."""

PublicKeys = tuple[bytes, bytes, bytes]
"""X25519: for encrypting to the client, for masks of its scalars, for masks of its vector."""


def chained(before: bytes, *facts: object) -> bytes:
    """A digest of a digest and further facts: the transcript of a session up to here.

    Masks are derived from it. So where the server tells two clients different things, such as other weights
    to one than to the rest, their masks don't cancel, and the sum is noise.

    Args:
        before: The digest so far.
        facts: What JSON takes, and bytes.
    """
    text = json.dumps(facts, default=_hexadecimal, allow_nan=False)
    return hashlib.sha256(before + text.encode()).digest()


def _hexadecimal(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"a transcript holds plain values and bytes, got {type(value).__name__}")
    return value.hex()


def needed(count: int, threshold: float) -> int:
    """How many of some clients must stay: at least `FEWEST`, and more than a half.

    Args:
        count: Clients.
        threshold: Which share of them, in (0.5, 1].
    """
    return max(FEWEST, count // 2 + 1, math.ceil(threshold * count - 1e-9))


@dataclass(frozen=True)
class Roster:
    """The clients of a session with their fresh public keys.

    Attributes:
        keys: By the client's name.
        threshold: Which share of them must stay.
        transcript: All that was agreed so far, `keys` included.
    """

    keys: Mapping[str, PublicKeys]
    threshold: float
    transcript: bytes

    @classmethod
    def of(
        cls, keys: Mapping[str, PublicKeys], threshold: float, *, run: str, server_round: int, session: str
    ) -> "Roster":
        """The roster of a session.

        Raises:
            SecureError: If a threshold or so few clients would protect nobody.
        """
        if not 0.5 < threshold <= 1:
            raise SecureError(f"a threshold must be more than a half and at most 1, got {threshold}")
        if len(keys) < FEWEST:
            raise SecureError(f"a secure sum needs {FEWEST} clients or more, got {len(keys)}")
        ordered = {name: keys[name] for name in sorted(keys)}
        facts = [[name, *public] for name, public in ordered.items()]
        return cls(ordered, threshold, chained(b"", run, server_round, session, threshold, facts))

    @property
    def names(self) -> list[str]:
        """The clients in their order, which decides who adds a common mask and who subtracts it."""
        return list(self.keys)

    @property
    def least(self) -> int:
        """How many of them must be left after each stage."""
        return needed(len(self.keys), self.threshold)

    def holders(self, name: str) -> list[str]:
        """Who holds shares of a client's secrets: the client itself and its neighbours, in their order.

        Source: SecAgg+ (Bell et al., CCS 2020): neighbours on a circle of randomly ordered clients. The order
        follows from everyone's fresh keys.
        """
        names = self.names
        if len(names) <= _ALL:
            return names
        random.Random(self.transcript).shuffle(names)
        at = names.index(name)
        return sorted(names[(at + step) % len(names)] for step in range(-_ALL // 2, _ALL // 2 + 1))

    def neighbours(self, name: str, among: Collection[str]) -> list[str]:
        """With whom of some clients a client has common masks."""
        return [other for other in self.holders(name) if other != name and other in among]

    def share_threshold(self, name: str) -> int:
        """How many holders together know a client's secrets."""
        return needed(len(self.holders(name)), self.threshold)

    def check(self, name: str, here: Sequence[str]) -> None:
        """See that those who are left can protect a client.

        Args:
            name: The client.
            here: Who is left by the server's account.

        Raises:
            SecureError: If they are too few, unknown, or without the client itself.
        """
        if len(set(here)) != len(here) or not set(here) <= set(self.keys) or name not in here:
            raise SecureError(f"{len(here)} clients are left, but not all of the roster's, or not this one")
        if len(here) < self.least:
            raise SecureError(f"{self.least} of {len(self.keys)} clients must be left, got {len(here)}")
        around = len(self.neighbours(name, here)) + 1
        if around < (least := self.share_threshold(name)):
            raise SecureError(f"{least} of this client's neighbours and itself must be left, got {around}")


def round_transcript(before: bytes, here: Sequence[str], sent: str, settings: str, share: Share) -> bytes:
    """The transcript once training has been asked for: of the same model, with the same settings.

    A server that sent one client the model, and all others one whose update is zero, would else see the
    update of the one.

    Args:
        before: Of the roster.
        here: Who has dealt out shares.
        sent: Digest of the model.
        settings: As they were sent.
        share: What weights are made of.

    Source: the attack is that of Pasquini et al., CCS 2022 (Eluding secure aggregation by model
    inconsistency), and so is the remedy.
    """
    rule = [share.by, share.exponent, str(share.guard)]
    return chained(before, "train", list(here), sent, settings, rule)


def vector_transcript(
    before: bytes, summed: Sequence[str], here: Sequence[str], base: float, per_share: float
) -> bytes:
    """The transcript once the weights have been announced.

    Args:
        before: As `round_transcript`.
        summed: Whose scalars were summed.
        here: Who is left of them.
        base: What each client counts.
        per_share: What each counts in addition, times its share.
    """
    return chained(before, "vector", list(summed), list(here), base, per_share)


def self_key(seed: bytes, what: bytes, transcript: bytes) -> bytes:
    """Of the mask that a client has for itself, from its secret seed.

    Args:
        seed: 32 random bytes.
        what: What is masked.
        transcript: All that was agreed so far.
    """
    return derive_key(seed, b"self", what, transcript)


def pair_key(private: bytes, public: bytes, what: bytes, transcript: bytes) -> bytes:
    """Of the mask that two clients have in common; one adds it, the other subtracts it (`pair_sign`)."""
    return agreed_key(private, public, b"pair", what, transcript)


def pair_sign(name: str, other: str) -> int:
    """Whether a client adds the mask that it has in common with another one, or subtracts it."""
    return 1 if name < other else -1
