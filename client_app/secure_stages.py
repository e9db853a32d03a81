"""What a client answers in the stages of a secure round before and after its training."""

from collections.abc import Mapping

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict

from client_app.client_state import state_folder
from client_app.local_data import client_name
from client_app.sealed_shares import seal
from client_app.secure_memory import SecureMemory
from client_app.secure_peers import signed
from client_app.secure_session import SCALAR_SUM, VECTOR_SUM, SecureSession
from fedvsr_core.errors import SecureError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.records import records_of
from fedvsr_core.secure.fixed_point import FixedPoint, encode_scalars, pack_scalars
from fedvsr_core.secure.masks import add_mask, add_scalar_masks
from fedvsr_core.secure.session import VECTOR, WEIGHT, vector_transcript

_ROUNDING = 1 + 1e-9
_BLOCK = 1 << 16
"""Values that are encoded at a time."""


def memory_of(message: Message, context: Context) -> SecureMemory:
    """What this node keeps between stages."""
    config = records_of(message.content, ConfigRecord)[keys.CONFIG]
    folder = state_folder(context.node_config, str(config[keys.RUN]), client_name(context.node_config))
    return SecureMemory(context.state, folder / "secure")


def answer(
    message: Message, context: Context, entries: Mapping[str, bytes | list[str] | list[bytes]]
) -> Message:
    """A reply with who this is, and the record of the stage."""
    about = ConfigRecord({keys.CLIENT: client_name(context.node_config), keys.CODE: code_digest()})
    record = ConfigRecord(dict(entries))
    return Message(RecordDict({keys.ABOUT: about, keys.SECURE: record}), reply_to=message)


def draw_keys(message: Message, context: Context) -> Message:
    """The first stage: fresh public keys."""
    config = records_of(message.content, ConfigRecord)[keys.CONFIG]
    session = SecureSession(memory_of(message, context).begin(config), client_name(context.node_config))
    return answer(message, context, {keys.PUBLIC_KEYS: session.draw_keys()})


def deal_shares(message: Message, context: Context) -> Message:
    """The second: shares of this client's secrets for others, encrypted, and a signature of the roster."""
    session = _session(message, context, keys.SECURE_SHARES)
    session.enrol(records_of(message.content, ConfigRecord)[keys.CONFIG])
    roster = session.roster
    sealed = [
        seal(
            package,
            session.encryption_key,
            roster.keys[holder][0],
            session.client,
            holder,
            roster.transcript,
        )
        for holder, package in session.deal().items()
    ]
    signature = signed(roster.transcript, session.client, context.node_config)
    return answer(message, context, {keys.SEALED: sealed, keys.SIGNATURES: [signature]})


def reveal_scalars(message: Message, context: Context) -> Message:
    """The fourth, after training: what takes the masks off the sum of the scalars."""
    session, before = _told(message, context, keys.SECURE_SCALARS)
    return _revealed(message, context, session.reveal(SCALAR_SUM, before))


def send_vector(message: Message, context: Context) -> Message:
    """The fifth: the weighted update, masked, and its weight, masked as well.

    Raises:
        SecureError: If the weights that the server announces exceed what this client takes.
    """
    config = records_of(message.content, ConfigRecord)[keys.CONFIG]
    session, summed = _told(message, context, keys.SECURE_VECTOR)
    update = memory_of(message, context).take_update()
    base, per_share = float(config[keys.BASE_WEIGHT]), float(config[keys.WEIGHT_PER_SHARE])  # type: ignore[arg-type]
    session.transcript = vector_transcript(session.transcript, summed, session.here, base, per_share)
    weight = _weight(base, per_share, session, len(summed))
    fixed = FixedPoint.that_holds(len(summed) * session.number("clip"), int(session.number("bits")))
    words = _encoded(update, weight, fixed)
    for key, sign in session.masks(VECTOR_SUM, VECTOR):
        add_mask(words, key, sign)
    scalars = encode_scalars([weight])
    for key, sign in session.masks(VECTOR_SUM, WEIGHT):
        scalars = add_scalar_masks(scalars, key, sign)
    reply = answer(message, context, {keys.MASKED_SCALARS: pack_scalars(scalars)})
    reply.content[keys.MASKED] = record_from_arrays({keys.MASKED: words})
    return reply


def unmask(message: Message, context: Context) -> Message:
    """The last: what takes the masks off the sum of the updates. Nothing is kept."""
    session, before = _told(message, context, keys.SECURE_UNMASK)
    memory_of(message, context).forget()
    return _revealed(message, context, session.reveal(VECTOR_SUM, before))


def _session(message: Message, context: Context, stage: str) -> SecureSession:
    config = records_of(message.content, ConfigRecord)[keys.CONFIG]
    return SecureSession(memory_of(message, context).enter(stage, config), client_name(context.node_config))


def _told(message: Message, context: Context, stage: str) -> tuple[SecureSession, list[str]]:
    """The session once the client has been told who is left, and who was left before."""
    session = _session(message, context, stage)
    return session, session.go_on(records_of(message.content, ConfigRecord)[keys.CONFIG])


def _revealed(message: Message, context: Context, shares: Mapping[str, bytes]) -> Message:
    return answer(message, context, {keys.NAMES: list(shares), keys.REVEALED: list(shares.values())})


def _weight(base: float, per_share: float, session: SecureSession, summed: int) -> float:
    """In units of the uniform weight, of as many clients as the scalars were summed over."""
    weight = summed * (base + per_share * session.number("root") ** 2)
    most = min(session.number("guard"), summed) * _ROUNDING
    if not (base >= 0 and per_share >= 0 and summed * base <= _ROUNDING and weight <= most):
        raise SecureError(
            f"this client counts at most {most:.3g} times the uniform weight, but with {base:g} +"
            f" {per_share:g} * q it would count {weight:.3g} times that"
        )
    return weight


def _encoded(update: np.ndarray, weight: float, fixed: FixedPoint) -> np.ndarray:
    words = np.empty(update.size, fixed.dtype)
    for start in range(0, update.size, _BLOCK):
        part = update[start : start + _BLOCK].astype(np.float64)
        words[start : start + _BLOCK] = fixed.encode(weight * part)
    return words
