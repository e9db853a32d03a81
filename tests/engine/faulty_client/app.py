"""The real ClientApp, misbehaving as a file says.

The environment variable ``FEDVSR_TEST_FAULTS`` names a JSON file: round -> partition -> a fault of `EARLY` or
`LATE`. It is read for each message, so a test can change it while the engine runs.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import Array, Context, Message
from flwr.clientapp import ClientApp

from client_app.app import app as sound
from fedvsr_core.flower import keys

HANG_AT_MOST_S = 180

app = ClientApp()


@app.query()
def introduce(message: Message, context: Context) -> Message:
    """As the real one."""
    return sound(message, context)


@app.train()
def train(message: Message, context: Context) -> Message:
    """As the real one, then spoil the reply."""
    config = message.content.config_records[keys.CONFIG]
    faults = json.loads(_plan().read_text()).get(str(config[keys.SERVER_ROUND]), {})
    fault = faults.get(str(context.node_config[keys.PARTITION_ID]))
    if fault in EARLY:
        EARLY[fault]()
    reply = sound(message, context)
    if fault in LATE:
        LATE[fault](reply)
    return reply


def _plan() -> Path:
    return Path(os.environ["FEDVSR_TEST_FAULTS"])


def _raise() -> None:
    raise OSError("this client has lost its disk")


def _die() -> None:
    os._exit(137)


def _hang() -> None:
    # Until the test lets go: the engine waits for busy workers at the end of a run.
    end = time.monotonic() + HANG_AT_MOST_S
    while not _plan().with_name("let-go").exists() and time.monotonic() < end:
        time.sleep(0.05)


def _nan_weights(reply: Message) -> None:
    arrays = reply.content.array_records[keys.ARRAYS]
    name = next(iter(arrays))
    arrays[name] = Array(np.full_like(arrays[name].numpy(), np.nan))


def _extra_array(reply: Message) -> None:
    reply.content.array_records[keys.ARRAYS]["one-more"] = Array(np.zeros(3, np.float32))


def _missing_array(reply: Message) -> None:
    arrays = reply.content.array_records[keys.ARRAYS]
    del arrays[next(iter(arrays))]


def _says_loss(loss: float) -> Callable[[Message], None]:
    def spoil(reply: Message) -> None:
        reply.content.metric_records[keys.METRICS][keys.LOSS] = loss

    return spoil


EARLY: dict[str, Callable[[], None]] = {"raise": _raise, "die": _die, "hang": _hang}
LATE: dict[str, Callable[[Message], None]] = {
    "nan-weights": _nan_weights,
    "extra-array": _extra_array,
    "missing-array": _missing_array,
    "loss-zero": _says_loss(0.0),
    "loss-negative": _says_loss(-1.0),
    "loss-nan": _says_loss(float("nan")),
}
