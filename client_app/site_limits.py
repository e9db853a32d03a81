"""A site answers what its operator's limits allow, and declines the rest before it touches any data."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, MessageType
from flwr.clientapp.typing import ClientAppCallable

from client_app.audit_log import AuditLog
from client_app.limits import Limits
from fedvsr_core.errors import ConfigurationError, LimitError
from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from fedvsr_core.settings import ClientSettings


def keep_limits(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Decline what goes beyond the limits of the node's configuration.

    A mod of Flower's, inside of what keeps the record. Who a site is, it always says.

    Args:
        message: What the server asks.
        context: This node's.
        call_next: What answers.

    Raises:
        LimitError: If it asks for too much.
        ConfigurationError: If the limits make no sense.
    """
    kind = _kind(message.metadata.message_type)
    if kind == MessageType.QUERY:
        return call_next(message, context)
    limits = Limits.of(context.node_config)
    if kind == MessageType.EVALUATE and not limits.evaluate:
        raise LimitError(f"'{keys.EVALUATE}' is false: this site scores no models")
    if limits.secure and kind == MessageType.TRAIN and not _is_secure(message.metadata.message_type):
        raise LimitError(f"'{keys.INSIST}' is true: this site trains in secure rounds alone")
    config = records_of(message.content, ConfigRecord)[keys.CONFIG]
    limits.check_settings(ClientSettings.model_validate_json(str(config[keys.SETTINGS])))
    if limits.rounds_a_day is not None:
        _check_rounds(limits.rounds_a_day, kind, context.node_config.get(keys.AUDIT_DIR))
    return call_next(message, context)


def _is_secure(message_type: str) -> bool:
    return message_type == f"{MessageType.TRAIN}.{keys.SECURE_TRAIN}"


def _kind(message_type: str) -> str:
    return message_type.partition(".")[0]


def _check_rounds(most: int, kind: str, folder: object) -> None:
    """See how much was asked within a day; what was declined doesn't count, and the message itself does."""
    if not folder:
        raise ConfigurationError(
            f"'{keys.ROUNDS_A_DAY}' is counted in the site's record; give '{keys.AUDIT_DIR}'"
        )
    records = AuditLog(Path(str(folder))).since(datetime.now(UTC) - timedelta(days=1))
    events = Counter(record.get("event") for record in records if _kind(str(record.get("kind"))) == kind)
    if events["asked"] - events["declined"] > most:  # no ids: the server chooses them
        raise LimitError(f"'{keys.ROUNDS_A_DAY}' is {most}, and so many were answered within 24 hours")
