"""What clients answer in the stages of a secure round, each answer read once."""

from dataclasses import dataclass

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord

from fedvsr_core.errors import ShapeError
from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.views import view
from fedvsr_core.secure.fixed_point import SCALAR_BYTES, unpack_scalars
from fedvsr_core.secure.masks import KEY_BYTES
from fedvsr_core.secure.secret_sharing import SHARE_BYTES
from fedvsr_core.secure.session import PublicKeys, Roster
from server_app.asking import Answer, RefusedError

_LONGEST = 1000
"""Bytes of a sealed package, and of a signature."""


@dataclass(frozen=True)
class Dealt:
    """What a client gives out of its secrets.

    Attributes:
        packages: Sealed shares, by receiver.
        signature: Of the roster.
    """

    packages: dict[str, bytes]
    signature: bytes


@dataclass(frozen=True)
class Masked:
    """A masked vector and its masked weight.

    Attributes:
        words: Read-only, unsigned.
        weight: A scalar.
    """

    words: np.ndarray
    weight: int


def read_keys(answer: Answer) -> PublicKeys:
    """The client's fresh public keys.

    Raises:
        RefusedError: If they aren't three of 32 bytes.
    """
    public = _bytes(answer, keys.PUBLIC_KEYS)
    if [len(key) for key in public] != [KEY_BYTES] * 3:
        raise RefusedError("secure", f"it must send three public keys, got {len(public)}")
    return public[0], public[1], public[2]


def read_packages(answer: Answer, roster: Roster) -> Dealt:
    """The sealed shares by receiver, and the client's signature.

    Raises:
        RefusedError: If there isn't one for each of its neighbours.
    """
    receivers = roster.neighbours(answer.client, roster.keys)
    packages, signatures = _bytes(answer, keys.SEALED), _bytes(answer, keys.SIGNATURES)
    if len(packages) != len(receivers) or len(signatures) != 1:
        raise RefusedError("secure", f"it must seal {len(receivers)} packages, got {len(packages)}")
    if max(map(len, (*packages, *signatures))) > _LONGEST:
        raise RefusedError("secure", f"a package or its signature has more than {_LONGEST} bytes")
    return Dealt(dict(zip(receivers, packages, strict=True)), signatures[0])


def read_scalars(answer: Answer, count: int) -> list[int]:
    """The client's masked scalars.

    Raises:
        RefusedError: If they are others.
    """
    packed = _record(answer).get(keys.MASKED_SCALARS)
    if not isinstance(packed, bytes) or len(packed) != count * SCALAR_BYTES:
        raise RefusedError("secure", f"it must send {count} masked scalars")
    return unpack_scalars(packed)


def read_revealed(answer: Answer) -> dict[str, bytes]:
    """The shares that the client holds, by their owners.

    Raises:
        RefusedError: If they aren't shares.
    """
    owners = _record(answer).get(keys.NAMES)
    shares = _bytes(answer, keys.REVEALED)
    if not isinstance(owners, list) or len(owners) != len(shares):
        raise RefusedError("secure", "it must name the owner of each share")
    if any(len(share) != SHARE_BYTES for share in shares):
        raise RefusedError("secure", f"a share must have {SHARE_BYTES} bytes")
    return dict(zip(map(str, owners), shares, strict=True))


def read_vector(answer: Answer, size: int, dtype: np.dtype) -> Masked:
    """The client's masked vector.

    Raises:
        RefusedError: If it has another form.
    """
    records = records_of(answer.content, ArrayRecord)
    try:
        words = view(records[keys.MASKED][keys.MASKED])
    except (KeyError, ShapeError) as error:
        raise RefusedError("secure", f"its masked vector can't be read: {error}") from error
    if set(records) != {keys.MASKED} or words.dtype != dtype or words.shape != (size,):
        raise RefusedError(
            "secure", f"its masked vector must be {size} {dtype}, got {words.shape} {words.dtype}"
        )
    return Masked(words, read_scalars(answer, 1)[0])


def _record(answer: Answer) -> ConfigRecord:
    return records_of(answer.content, ConfigRecord).get(keys.SECURE, ConfigRecord())


def _bytes(answer: Answer, key: str) -> list[bytes]:
    value = _record(answer).get(key)
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise RefusedError("secure", f"it must send '{key}', a list of bytes")
    return [bytes(item) for item in value]  # type: ignore[arg-type]
