"""Differential privacy of one site: what it sends is clipped and has noise, and its losses aren't sent."""

import math
from collections.abc import Mapping
from dataclasses import replace

from flwr.app import Context, Message
from flwr.clientapp.mod import LocalDpMod
from flwr.clientapp.typing import ClientAppCallable
from pydantic import ValidationError

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.settings import ClientSettings, Privacy

_KEYS = {"epsilon": keys.EPSILON, "delta": keys.DELTA, "clipping_norm": keys.CLIPPING_NORM}


def add_local_noise(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Add noise to the trained weights, and remove the losses, if the site or the run asks for it.

    A mod of Flower's, for training. The noise is that of `LocalDpMod`, for any two sets of videos: their
    updates, clipped, lie at most twice the clipping norm apart.

    Args:
        message: The global model and the settings.
        context: This node's.
        call_next: What trains.

    Raises:
        ConfigurationError: If the privacy that is asked for makes no sense, or the strategy exchanges more
            than the model.
    """
    config = message.content.config_records[keys.CONFIG]
    settings = ClientSettings.model_validate_json(str(config[keys.SETTINGS]))
    asked = stricter_privacy(settings.privacy, context.node_config)
    if asked.epsilon is None:
        return call_next(message, context)
    if any(not array.shape for record in message.content.array_records.values() for array in record.values()):
        raise ConfigurationError(
            "Flower adds no noise to parameters that are single numbers; take another model"
        )
    norm = asked.clipping_norm
    reply = LocalDpMod(norm, 2 * norm, asked.epsilon, asked.delta)(message, context, call_next)
    if reply.has_error():
        raise ConfigurationError(
            "differential privacy is for the model alone, and this strategy exchanges more than that; take"
            " strategy=fedavg"
        )
    report = TrainingReport.unpack(reply.content)
    kept = replace(
        report,
        loss=math.nan,
        parts=dict.fromkeys(report.parts, math.nan),
        epsilon=asked.epsilon,
        delta=asked.delta,
    )
    reply.content.update(kept.pack())
    return reply


def stricter_privacy(run: Privacy, node_config: Mapping[str, object]) -> Privacy:
    """The privacy of this site: the run can ask for more than the site does, never for less.

    Args:
        run: What the run asks for.
        node_config: What this node was started with.

    Raises:
        ConfigurationError: If a number of the site is out of its range.
    """
    given = {field: node_config[key] for field, key in _KEYS.items() if key in node_config}
    try:
        own = Privacy.model_validate({"clipping_norm": run.clipping_norm, **given})
    except ValidationError as error:
        raise ConfigurationError(
            f"the node configuration must have an epsilon > 0, a delta between 0 and 1 and a clipping-norm"
            f" > 0, got {given}; mend it in site.toml"
        ) from error
    if own.epsilon is None:
        return run
    if run.epsilon is None:
        return own
    return own.model_copy(
        update={"epsilon": min(own.epsilon, run.epsilon), "delta": min(own.delta, run.delta)}
    )
