"""The ClientApp: unpack a message, train on this site's clips, pack the reply."""

import time
from collections.abc import Mapping

import torch
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from client_app.client_state import ClientState, state_folder
from client_app.code_pin import require_pinned_code
from client_app.compression import compress_upload
from client_app.decline_on_error import decline_on_error
from client_app.held_out import own_held_out
from client_app.local_data import client_name, local_shots
from client_app.local_dp import add_local_noise
from client_app.memory_check import check_memory
from client_app.memory_format import set_memory_format
from client_app.received_model import received_model
from fedvsr_core import devices
from fedvsr_core.components import build
from fedvsr_core.data.loaders import Batches
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import completed, to_arrays, to_record
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.evaluation_report import EvaluationReport
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.flower.travelling import travelling
from fedvsr_core.metrics.average import Mean
from fedvsr_core.seeds import derive
from fedvsr_core.settings import ClientSettings
from fedvsr_core.training.client_round import train_round
from fedvsr_core.training.late_start import is_frozen
from fedvsr_core.training.objective import Objective, Start

app = ClientApp(mods=[decline_on_error, require_pinned_code])


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
def train(message: Message, context: Context) -> Message:
    """Train the global model on this site's clips for one round."""
    began = time.monotonic()
    config = message.content.config_records[keys.CONFIG]
    settings = ClientSettings.model_validate_json(str(config[keys.SETTINGS]))
    received = dict(message.content.array_records)
    start = received.pop(keys.ARRAYS)
    client, device = client_name(context.node_config), _device(context)
    server_round = int(str(config[keys.SERVER_ROUND]))
    seed = derive(settings.seed, "train", server_round, client)

    check_memory(start, device)
    model = received_model(start, config, settings, context.node_config)
    set_memory_format(model, settings.training)
    model.to(device)
    torch.manual_seed(seed)
    batches = Batches(
        local_shots(settings, context.node_config),
        settings.training,
        seed=seed,
        workers=int(context.node_config.get(keys.WORKERS, 1)),
    )
    objective: Objective = build(settings.objective)
    outcome, returned = train_round(
        model,
        objective,
        settings,
        Start(
            server_round=server_round,
            arrays={name: to_arrays(record) for name, record in received.items()},
            client_state=ClientState(
                context.state,
                state_folder(context.node_config, str(config.get(keys.RUN, "")), client),
                last_accepted=int(str(config.get(keys.LAST_ACCEPTED, 0))),
            ),
            batches=batches,
            loss=build(settings.loss),
            device=device,
            seed=settings.seed,
        ),
    )
    report = TrainingReport(
        client=client,
        examples=batches.num_windows,
        steps=outcome.steps,
        loss=outcome.loss,
        parts=outcome.parts,
        seconds=time.monotonic() - began,
        peak_memory_mb=devices.peak_memory_mb(device),
        device=devices.describe(device),
        code=code_digest(),
        batches=batches.digest(),
    )
    trained = to_record(travelling(model, frozen=is_frozen(settings, server_round)))
    extra = {name: completed(arrays, start) for name, arrays in returned.items()}
    return Message(RecordDict({keys.ARRAYS: trained, **extra, **report.pack()}), reply_to=message)


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
