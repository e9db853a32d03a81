"""What the server asks of a site and what it gets, in the site's own record; without the record, nothing."""

import math
from hashlib import sha256
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from client_app.audit_log import AuditLog
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import size_bytes, to_arrays
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.declines import word_of
from fedvsr_core.flower.differences import from_difference
from fedvsr_core.flower.records import records_of

_LONGEST = 500
"""Characters of a text that the record keeps."""


def keep_audit(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Record what is asked before it is done, and what is sent, or why nothing is, before it leaves.

    A mod of Flower's, outside of all that answers. A node without `keys.AUDIT_DIR` keeps no record.

    Args:
        message: What the server asks.
        context: This node's.
        call_next: What answers.

    Raises:
        AuditError: If the record can't be written: nothing is done, or nothing is sent.
    """
    folder = context.node_config.get(keys.AUDIT_DIR)
    if not folder:
        return call_next(message, context)
    log, about = AuditLog(Path(str(folder))), _message(message, context)
    log.append({"event": "asked", **about, **_asked(message.content)})
    try:
        reply = call_next(message, context)
    except Exception as error:
        log.append({"event": "declined", **about, "word": word_of(error), "reason": str(error)[:_LONGEST]})
        raise
    log.append({"event": "sent", **about, "records": _sent(reply.content, message.content)})
    return reply


def _message(message: Message, context: Context) -> dict[str, Any]:
    """What tells a message from all others."""
    told = message.metadata
    return {"kind": told.message_type, "run": str(context.run_id), "message": told.message_id}


def _asked(content: RecordDict) -> dict[str, Any]:
    config = dict(records_of(content, ConfigRecord).get(keys.CONFIG, {}))
    settings = str(config.pop(keys.SETTINGS, ""))
    return {
        "settings": sha256(settings.encode()).hexdigest()[:16],
        "code": code_digest(),
        "config": {str(key)[:_LONGEST]: _plain(value) for key, value in list(config.items())[:20]},
        "bytes": sum(size_bytes(record) for record in records_of(content, ArrayRecord).values()),
    }


def _sent(content: RecordDict, received: RecordDict) -> dict[str, Any]:
    """Everything but arrays as it is; of arrays their number, bytes and norm, the model's from its start."""
    start = records_of(received, ArrayRecord).get(keys.ARRAYS, ArrayRecord())
    return {
        name: _arrays(record, start if name == keys.ARRAYS else ArrayRecord())
        if isinstance(record, ArrayRecord)
        else {key: _plain(value) for key, value in record.items()}
        for name, record in content.items()
    }


def _arrays(record: ArrayRecord, start: ArrayRecord) -> dict[str, int | float]:
    before, square = to_arrays(start), 0.0
    for name, array in to_arrays(record).items():
        came = from_difference(array, before[name]) if name in before else array
        change = came.astype("float64") - before.get(name, 0)
        square += float((change * change).sum())
    return {"arrays": len(record), "bytes": size_bytes(record), "norm": _plain(math.sqrt(square))}


def _plain(value: Any) -> Any:  # noqa: ANN401 (what JSON takes)
    if isinstance(value, list) and value and all(isinstance(item, bytes) for item in value):
        return f"{len(value)} x {len(value[0])} bytes"  # keys and shares, which must not reach a disk
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, int) else str(value)[:_LONGEST]
