"""A client's training in a secure round: the update stays here, and only masked scalars leave."""

import math

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from client_app.local_data import NodeConfig, client_name
from client_app.sealed_shares import unseal
from client_app.secure_peers import check_signatures
from client_app.secure_session import SCALAR_SUM, SecureSession
from client_app.secure_stages import answer, memory_of
from fedvsr_core.errors import ConfigurationError, SecureError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import digest, to_arrays
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.secure.fixed_point import encode_scalars, pack_scalars
from fedvsr_core.secure.masks import add_scalar_masks
from fedvsr_core.secure.scalars import LEAST_TELLERS, parts_of, scalars_of
from fedvsr_core.secure.session import SCALARS, round_transcript
from fedvsr_core.secure.share import Share
from fedvsr_core.settings import ClientSettings


def keep_update(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Train, keep the update, and answer with masked scalars.

    A mod of Flower's, for secure training, outside of what adds noise.

    Args:
        message: The global model, the settings, and the shares of the other clients' secrets.
        context: This node's.
        call_next: What trains.

    Raises:
        SecureError: If a check of what the server sent fails, or the update isn't finite.
        ConfigurationError: If the site keeps its loss for privacy, and the weights are made of it.
    """
    config = message.content.config_records[keys.CONFIG]
    settings = ClientSettings.model_validate_json(str(config[keys.SETTINGS]))
    memory = memory_of(message, context)
    session = SecureSession(memory.enter(keys.SECURE_TRAIN, config), client_name(context.node_config))
    share = Share(
        by=str(config[keys.SHARE_BY]),  # type: ignore[arg-type]
        exponent=float(str(config[keys.SHARE_EXPONENT])),
        guard=float(str(config[keys.GUARD])),
    )
    if share.by not in ("one", "examples", "loss") or not 0 <= share.exponent <= 1 or not share.guard >= 1:
        raise SecureError(f"a share by {share.by} ** -{share.exponent} with guard {share.guard} isn't known")
    _take_shares(config, session, context.node_config)
    if more := sorted(set(message.content.array_records) - {keys.ARRAYS}):
        raise SecureError(f"secure rounds exchange the model alone, but {more} came with it")
    start = message.content.array_records[keys.ARRAYS]
    session.transcript = round_transcript(
        session.roster.transcript, session.here, digest(start), str(config[keys.SETTINGS]), share
    )
    reply = call_next(message, context)
    report = TrainingReport.unpack(reply.content)
    if share.by == "loss" and report.withheld:
        raise ConfigurationError(
            "this site keeps its loss for differential privacy, and the run weighs by losses; take"
            " strategy=fedavg"
        )
    if not all(map(math.isfinite, (report.loss, *report.parts.values()))) and not report.withheld:
        raise SecureError(f"the loss is {report.loss}; it would spoil the sum")
    memory.keep_update(_update(reply.content, start, settings.secure.clip))
    root = share.root(examples=report.examples, loss=report.loss)
    session.note(root=root, guard=share.guard, clip=settings.secure.clip, bits=settings.secure.bits)
    told = not report.withheld and (share.by != "loss" or session.roster.least >= LEAST_TELLERS)
    scalars = encode_scalars(scalars_of(report, root, share.by, parts_of(settings.loss), told=told))
    for key, sign in session.masks(SCALAR_SUM, SCALARS):
        scalars = add_scalar_masks(scalars, key, sign)
    return answer(message, context, {keys.MASKED_SCALARS: pack_scalars(scalars)})


def _take_shares(config: ConfigRecord, session: SecureSession, node_config: NodeConfig) -> None:
    """Check who is left, whose keys they are, and decrypt their shares."""
    session.go_on(config)
    client, here, roster = session.client, session.here, session.roster
    packages: list[bytes] = list(config[keys.SEALED])  # type: ignore[arg-type]
    signatures: list[bytes] = list(config[keys.SIGNATURES])  # type: ignore[arg-type]
    senders = roster.neighbours(client, here)
    if len(packages) != len(senders) or len(signatures) != len(here):
        raise SecureError(f"the shares of {len(senders)} neighbours must come, got {len(packages)}")
    check_signatures(roster.transcript, dict(zip(here, signatures, strict=True)), node_config)
    for sender, package in zip(senders, packages, strict=True):
        public = roster.keys[sender][0]
        about = sender, client, roster.transcript
        session.hold(sender, unseal(package, session.encryption_key, public, *about))


def _update(content: RecordDict, start: ArrayRecord, clip: float) -> np.ndarray:
    """The change of all arrays, one after the other, at most of a norm; float32."""
    records = {name: record for name, record in content.items() if isinstance(record, ArrayRecord)}
    if set(records) != {keys.ARRAYS}:
        raise SecureError(f"secure rounds exchange the model alone, but training returned {sorted(records)}")
    before, after = to_arrays(start), to_arrays(records[keys.ARRAYS])
    update = np.concatenate([(after[name] - before[name]).ravel() for name in before])
    norm = math.sqrt(float(np.dot(update.astype(np.float64), update)))
    if not math.isfinite(norm):
        raise SecureError("the update isn't finite; it would spoil the sum")
    return np.asarray(update * min(1.0, clip / norm) if norm else update, np.float32)
