"""What takes the masks off a sum: secrets, put together from the shares of those who are left."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedvsr_core.errors import SecureError
from fedvsr_core.secure.agreement import public_of
from fedvsr_core.secure.secret_sharing import join
from fedvsr_core.secure.session import Roster, pair_key, pair_sign, self_key


@dataclass(frozen=True)
class MaskedSum:
    """One of the two sums of a secure round, with its masks.

    Attributes:
        roster: Of the round.
        transcript: All that was agreed before it.
        key: Which of the public keys its masks are made of: 1 or 2.
        asked: Who was asked, and so has masks in common with the others.
        here: Whose part is in it.
    """

    roster: Roster
    transcript: bytes
    key: int
    asked: Sequence[str]
    here: Sequence[str]

    def secrets(self, revealed: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
        """A secret of each who was asked: the seed of who is here, the key of who has gone.

        Args:
            revealed: Shares by owner, by holder.

        Raises:
            SecureError: If there are too few shares of one, or they make another key.
        """
        secrets = {}
        for owner in self.asked:
            holders = self.roster.holders(owner)
            shares = {
                holders.index(holder) + 1: share
                for holder, of_holder in revealed.items()
                if holder in holders and (share := of_holder.get(owner)) is not None
            }
            if len(shares) < (least := self.roster.share_threshold(owner)):
                raise SecureError(f"{least} shares of what '{owner}' hid must come back, got {len(shares)}")
            secrets[owner] = join(shares, least)
            gone = owner not in self.here
            if gone and public_of(secrets[owner]) != self.roster.keys[owner][self.key]:
                raise SecureError(f"the shares of the key of '{owner}' don't make it")
        return secrets

    def masks(self, secrets: Mapping[str, bytes], what: bytes) -> Iterator[tuple[bytes, int]]:
        """Key and sign of each stream that is to be added, so that no mask is left.

        Args:
            secrets: As `secrets` gives them.
            what: What is masked.
        """
        for owner in self.here:
            yield self_key(secrets[owner], what, self.transcript), -1
        for gone in set(self.asked) - set(self.here):
            for other in self.roster.neighbours(gone, self.here):
                public = self.roster.keys[other][self.key]
                yield pair_key(secrets[gone], public, what, self.transcript), -pair_sign(other, gone)
