"""A client's side of a secure round: who takes part, whose shares it holds, the masks of what it sends."""

import secrets
from collections.abc import Iterator

from flwr.app import ConfigRecord

from fedvsr_core.errors import SecureError
from fedvsr_core.flower import keys
from fedvsr_core.secure.agreement import public_of
from fedvsr_core.secure.masks import KEY_BYTES
from fedvsr_core.secure.secret_sharing import SHARE_BYTES, split
from fedvsr_core.secure.session import Roster, pair_key, pair_sign, self_key

_PRIVATE, _SEEDS, _TRANSCRIPT = "private", "seeds", "transcript"
_HOLDS, _NUMBERS = "holds/", "number/"
SCALAR_SUM, VECTOR_SUM = 0, 1
"""The two sums of a round. Each has its own masks: those of the first are known before the second begins."""


class SecureSession:
    """Reads and adds to what is kept between stages.

    Args:
        kept: That; changed in place.
        client: This client's name.
    """

    def __init__(self, kept: ConfigRecord, client: str) -> None:
        self._kept, self.client = kept, client

    def draw_keys(self) -> list[bytes]:
        """Make fresh keys and seeds; returns the public keys."""
        self._kept[_PRIVATE] = [secrets.token_bytes(KEY_BYTES) for _ in range(3)]
        self._kept[_SEEDS] = [secrets.token_bytes(KEY_BYTES) for _ in range(2)]
        return [public_of(key) for key in self._private]

    def enrol(self, config: ConfigRecord) -> None:
        """Take the roster that the server announces.

        Raises:
            SecureError: If it protects nobody, or has another key for this client than its own.
        """
        for key in (keys.NAMES, keys.PUBLIC_KEYS, keys.THRESHOLD):
            self._kept[key] = config[key]
        self._kept[keys.HERE] = config[keys.NAMES]
        if self.roster.keys.get(self.client) != tuple(public_of(key) for key in self._private):
            raise SecureError("the roster must have this client's own public keys, and has others")

    @property
    def roster(self) -> Roster:
        """Who takes part."""
        names, public = _words(self._kept[keys.NAMES]), _bytes(self._kept[keys.PUBLIC_KEYS])
        if len(set(names)) != len(names) or len(public) != 3 * len(names):
            raise SecureError(f"the roster must have three keys for each of {len(names)} different names")
        return Roster.of(
            {name: (public[3 * k], public[3 * k + 1], public[3 * k + 2]) for k, name in enumerate(names)},
            float(str(self._kept[keys.THRESHOLD])),
            run=str(self._kept[keys.RUN]),
            server_round=int(str(self._kept[keys.SERVER_ROUND])),
            session=str(self._kept[keys.SESSION]),
        )

    @property
    def here(self) -> list[str]:
        """Who is left so far."""
        return _words(self._kept[keys.HERE])

    def go_on(self, config: ConfigRecord) -> list[str]:
        """Take the server's account of who is left.

        Returns:
            Who was left before.

        Raises:
            SecureError: If they are too few, or somebody has come back.
        """
        before, here = self.here, _words(config[keys.HERE])
        if not set(here) <= set(before):
            raise SecureError("a client that had left a secure round must not come back")
        self.roster.check(self.client, here)
        self._kept[keys.HERE] = here
        return before

    @property
    def transcript(self) -> bytes:
        """All that was agreed so far."""
        return bytes(self._kept[_TRANSCRIPT])  # type: ignore[arg-type]

    @transcript.setter
    def transcript(self, digest: bytes) -> None:
        self._kept[_TRANSCRIPT] = digest

    def note(self, **numbers: float) -> None:
        """Keep some numbers."""
        for name, number in numbers.items():
            self._kept[_NUMBERS + name] = float(number)

    def number(self, name: str) -> float:
        """A number that was kept."""
        return float(self._kept[_NUMBERS + name])  # type: ignore[arg-type]

    @property
    def encryption_key(self) -> bytes:
        """The private key for what is encrypted to this client."""
        return self._private[0]

    def deal(self) -> dict[str, bytes]:
        """Split the secrets of this client; returns each holder's package, and keeps its own."""
        roster = self.roster
        holders, threshold = roster.holders(self.client), roster.share_threshold(self.client)
        secret = (self._seeds[0], self._private[1], self._seeds[1], self._private[2])
        shares = [split(each, threshold, len(holders)) for each in secret]
        packages = dict(zip(holders, map(b"".join, zip(*shares, strict=True)), strict=True))
        self.hold(self.client, packages.pop(self.client))
        return packages

    def hold(self, owner: str, package: bytes) -> None:
        """Keep the package of one client.

        Raises:
            SecureError: If it isn't one.
        """
        if len(package) != 4 * SHARE_BYTES:
            raise SecureError(f"'{owner}' must give {4 * SHARE_BYTES} bytes of shares, got {len(package)}")
        self._kept[_HOLDS + owner] = package

    def reveal(self, which: int, before: list[str]) -> dict[str, bytes]:
        """The shares that take the masks off one sum: for each client that this one holds shares of, one.

        Of who is left it's a share of the seed, of who has left since one of the key of common masks; never
        both, since each stage is answered once.

        Args:
            which: `SCALAR_SUM` or `VECTOR_SUM`.
            before: Who had been asked for what was summed.
        """
        here = set(self.here)
        revealed = {}
        for owner in (*self.roster.neighbours(self.client, before), self.client):
            at = (2 * which + (owner not in here)) * SHARE_BYTES
            revealed[owner] = bytes(self._kept[_HOLDS + owner])[at : at + SHARE_BYTES]  # type: ignore[arg-type]
        return revealed

    def masks(self, which: int, what: bytes) -> Iterator[tuple[bytes, int]]:
        """Key and sign of each mask of what is sent.

        Args:
            which: `SCALAR_SUM` or `VECTOR_SUM`.
            what: What is masked.
        """
        yield self_key(self._seeds[which], what, self.transcript), 1
        roster = self.roster
        for other in roster.neighbours(self.client, self.here):
            key = pair_key(self._private[1 + which], roster.keys[other][1 + which], what, self.transcript)
            yield key, pair_sign(self.client, other)

    @property
    def _private(self) -> list[bytes]:
        return _bytes(self._kept[_PRIVATE])

    @property
    def _seeds(self) -> list[bytes]:
        return _bytes(self._kept[_SEEDS])


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _bytes(value: object) -> list[bytes]:
    return [bytes(word) for word in value] if isinstance(value, list) else []
