"""A ClientApp that introduces itself, waits instead of training, and returns nearly what it was sent.

It doesn't import torch, so a process of it starts in two seconds: for tests of all that is around it.
"""

import json
import os
import time

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedvsr_core.flower import keys
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport

app = ClientApp()


@app.query()
def introduce(message: Message, context: Context) -> Message:
    """As the real one."""
    words = {
        keys.CLIENT: str(context.node_config[keys.SITE]),
        keys.DEVICE: "cpu",
        keys.CODE: code_digest(),
    }
    content = {keys.ABOUT: ConfigRecord(dict(words)), keys.METRICS: MetricRecord({keys.NUM_CLIENTS: 0})}
    return Message(RecordDict(content), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Take a second for each step, and return the model a little larger."""
    began = time.monotonic()
    settings = json.loads(str(message.content.config_records[keys.CONFIG][keys.SETTINGS]))
    time.sleep(settings["training"]["steps"])
    report = TrainingReport(
        client=str(context.node_config[keys.SITE]),
        examples=1,
        steps=1,
        loss=1.0,
        parts=dict.fromkeys(settings["loss"]["parts"], 0.5),
        seconds=time.monotonic() - began,
        peak_memory_mb=1.0,
        device=f"process {os.getpid()}",
        code=code_digest(),
        batches="none",
    )
    received = message.content.array_records[keys.ARRAYS]
    arrays = ArrayRecord({name: Array(array.numpy() * np.float32(1.001)) for name, array in received.items()})
    return Message(RecordDict({keys.ARRAYS: arrays, **report.pack()}), reply_to=message)
