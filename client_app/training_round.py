"""A client's round of training: from what the server sent to what it gets back, in one process of several."""

import time

import torch
from flwr.app import RecordDict

from client_app.client_state import ClientState, state_folder
from client_app.gpu_sharing import tell_what_fits
from client_app.limits import Limits
from client_app.local_data import NodeConfig, client_name, local_shots
from client_app.memory_check import check_memory
from client_app.memory_format import set_memory_format
from client_app.received_model import received_model
from fedvsr_core import devices
from fedvsr_core.components import build
from fedvsr_core.data.loaders import Batches
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import completed, to_arrays, to_record
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.flower.travelling import travelling
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.seeds import derive
from fedvsr_core.settings import ClientSettings
from fedvsr_core.training.client_round import train_round
from fedvsr_core.training.late_start import frozen_steps, is_frozen
from fedvsr_core.training.objective import Start
from fedvsr_core.training.ranks import ALONE, Ranks


def train_and_report(
    content: RecordDict,
    node_config: NodeConfig,
    state: RecordDict,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> RecordDict:
    """Train the global model on this site's clips for one round.

    Args:
        content: What the server sent.
        node_config: What this node was started with.
        state: What this client keeps between rounds; changed in place.
        device: Where to compute.
        ranks: The processes that train together; every one of them calls this.

    Returns:
        The trained arrays, those of the objective, and the report; nothing on all ranks but the first.
    """
    began = time.monotonic()
    config = content.config_records[keys.CONFIG]
    settings = ClientSettings.model_validate_json(str(config[keys.SETTINGS]))
    received = dict(content.array_records)
    start = received.pop(keys.ARRAYS)
    client = client_name(node_config)
    server_round = int(str(config[keys.SERVER_ROUND]))
    seed = derive(settings.seed, "train", server_round, client)

    check_memory(start, device)
    model = received_model(start, config, settings, node_config)
    set_memory_format(model, settings.training)
    model.to(device)
    torch.manual_seed(derive(seed, "rank", ranks.rank) if ranks.rank else seed)
    batches = Batches(
        local_shots(settings, node_config),
        settings.training,
        seed=seed,
        workers=int(str(node_config.get(keys.WORKERS, 1))),
        device=device,
    )
    Limits.of(node_config).check_amount(
        len(batches) - _steps_without(model, settings, server_round) % len(batches),
        settings.training.batch,
    )
    outcome, returned = train_round(
        model,
        build(settings.objective),
        settings,
        Start(
            server_round=server_round,
            arrays={name: to_arrays(record) for name, record in received.items()},
            client_state=ClientState(
                state,
                state_folder(node_config, str(config.get(keys.RUN, "")), client),
                last_accepted=int(str(config.get(keys.LAST_ACCEPTED, 0))),
            ),
            batches=batches,
            loss=build(settings.loss),
            device=device,
            seed=settings.seed,
        ),
        ranks=ranks,
    )
    if ranks.rank:
        return RecordDict()
    tell_what_fits(device, node_config, server_round)
    place = devices.describe(device)
    report = TrainingReport(
        client=client,
        examples=batches.num_windows,
        steps=outcome.steps,
        loss=outcome.loss,
        parts=outcome.parts,
        seconds=time.monotonic() - began,
        peak_memory_mb=devices.peak_memory_mb(device),
        device=place if ranks.count == 1 else f"{ranks.count} x {place}",
        code=code_digest(),
        batches=batches.digest(),
    )
    trained = to_record(travelling(model, frozen=is_frozen(settings, server_round)))
    extra = {name: completed(arrays, start) for name, arrays in returned.items()}
    return RecordDict({keys.ARRAYS: trained, **extra, **report.pack()})


def _steps_without(model: VideoModel, settings: ClientSettings, server_round: int) -> int:
    """Steps that leave late parameters out, which the others of this round move; 0 if none or all do."""
    frozen = is_frozen(settings, server_round) or not model.late_parameters()
    return 0 if frozen else frozen_steps(settings, server_round)
