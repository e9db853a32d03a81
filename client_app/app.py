"""The ClientApp: unpack a message, train on this site's clips, pack the reply."""

import time
from collections.abc import Mapping

import torch
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from client_app.audit import keep_audit
from client_app.code_pin import require_pinned_code
from client_app.compression import compress_upload
from client_app.decline_on_error import decline_on_error
from client_app.held_out import own_held_out
from client_app.local_data import client_name
from client_app.local_dp import add_local_noise
from client_app.received_model import received_model
from client_app.secure_stages import deal_shares, draw_keys, reveal_scalars, send_vector, unmask
from client_app.secure_training import keep_update
from client_app.several_devices import train_on_several, training_devices
from client_app.site_limits import keep_limits
from client_app.training_round import train_and_report
from fedvsr_core import devices
from fedvsr_core.flower import keys
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.evaluation_report import EvaluationReport
from fedvsr_core.metrics.average import Mean
from fedvsr_core.settings import ClientSettings

app = ClientApp(mods=[decline_on_error, keep_audit, require_pinned_code, keep_limits])


@app.query()
def introduce(message: Message, context: Context) -> Message:
    """Say which client this is, where it would train and what code it runs."""
    words = {
        keys.CLIENT: client_name(context.node_config),
        keys.DEVICE: devices.describe(_device(context)),
        keys.CODE: code_digest(),
    }
    numbers = {keys.NUM_CLIENTS: int(context.node_config.get(keys.NUM_PARTITIONS, 0))}
    return Message(
        RecordDict({keys.ABOUT: ConfigRecord(dict(words)), keys.METRICS: MetricRecord(dict(numbers))}),
        reply_to=message,
    )


@app.train(mods=[compress_upload, add_local_noise])
@app.train(keys.SECURE_TRAIN, mods=[keep_update, add_local_noise])  # the update stays here
def train(message: Message, context: Context) -> Message:
    """Train the global model on this site's clips for one round, on one device or several."""
    config = message.content.config_records[keys.CONFIG]
    settings = ClientSettings.model_validate_json(str(config[keys.SETTINGS]))
    places = training_devices(context.node_config, settings.training.batch)
    given = message.content, context.node_config, context.state
    reply = train_on_several(*given, places) if len(places) > 1 else train_and_report(*given, places[0])
    return Message(reply, reply_to=message)


@app.query(keys.SECURE_KEYS)
def secure_keys(message: Message, context: Context) -> Message:
    """Open a secure round with fresh keys."""
    return draw_keys(message, context)


@app.query(keys.SECURE_SHARES)
def secure_shares(message: Message, context: Context) -> Message:
    """Deal out shares of the secrets behind them."""
    return deal_shares(message, context)


@app.query(keys.SECURE_SCALARS)
def secure_scalars(message: Message, context: Context) -> Message:
    """Reveal shares for the sum of the scalars."""
    return reveal_scalars(message, context)


@app.query(keys.SECURE_VECTOR)
def secure_vector(message: Message, context: Context) -> Message:
    """Send the weighted update, masked."""
    return send_vector(message, context)


@app.query(keys.SECURE_UNMASK)
def secure_unmask(message: Message, context: Context) -> Message:
    """Reveal shares for the sum of the updates."""
    return unmask(message, context)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the global model on this site's own held-out clips; only sums leave the site."""
    began = time.monotonic()
    config = message.content.config_records[keys.CONFIG]
    settings = ClientSettings.model_validate_json(str(config[keys.SETTINGS]))
    held_out = own_held_out(settings, context.node_config, _device(context))
    sums: dict[str, Mapping[str, Mean]] = {}
    if held_out:
        arrays = message.content.array_records[keys.ARRAYS]
        model = received_model(arrays, config, settings, context.node_config)
        sums = held_out.sums(model)
    report = EvaluationReport(
        client=client_name(context.node_config),
        clips=held_out.clips if held_out else 0,
        frames=held_out.frames if held_out else 0,
        sums=sums,
        seconds=time.monotonic() - began,
        code=code_digest(),
    )
    return Message(report.pack(), reply_to=message)


def _device(context: Context) -> torch.device:
    return devices.choose(str(context.node_config.get(keys.DEVICE, "auto")))
