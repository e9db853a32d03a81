"""Differential privacy of one site: what it sends is clipped and has noise, and its losses aren't sent."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable
from pydantic import ValidationError

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, record_from_arrays, to_arrays
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.gaussian_mechanism import noise_multiplier
from fedvsr_core.settings import ClientSettings, Privacy

_KEYS = {"epsilon": keys.EPSILON, "delta": keys.DELTA, "clipping_norm": keys.CLIPPING_NORM}


def add_local_noise(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Add noise to the trained weights, and remove the losses, if the site or the run asks for it.

    A mod of Flower's, for training. The update is clipped, and gets Gaussian noise for any two sets of
    videos: their updates, clipped, lie at most twice the clipping norm apart. Flower's own `LocalDpMod` takes
    a formula for the noise that is proven up to an epsilon of 1 alone.

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
    start = _model_alone(message.content)
    reply = call_next(message, context)
    trained = _model_alone(reply.content)
    deviation = 2 * asked.clipping_norm * noise_multiplier(asked.epsilon, asked.delta)
    reply.content[keys.ARRAYS] = _with_noise(trained, start, asked.clipping_norm, deviation)
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


def _model_alone(content: RecordDict) -> NamedArrays:
    records = records_of(content, ArrayRecord)
    if set(records) != {keys.ARRAYS}:
        raise ConfigurationError(
            "differential privacy is for the model alone, and this strategy exchanges more than that; take"
            " strategy=fedavg"
        )
    return to_arrays(records[keys.ARRAYS])


def _with_noise(trained: NamedArrays, start: NamedArrays, norm: float, deviation: float) -> ArrayRecord:
    """The start, the update shortened to a norm, and noise; no update if it isn't finite."""
    update = {name: array.astype(np.float64) - start[name] for name, array in trained.items()}
    length = math.sqrt(math.fsum(float(np.square(change).sum()) for change in update.values()))
    factor = min(1.0, norm / length) if length else 1.0
    generator = np.random.default_rng()  # seeded by the system: nobody else can draw the same
    return record_from_arrays(
        {
            name: np.asarray(
                start[name]
                + (factor * change if math.isfinite(length) else 0)
                + generator.normal(0, deviation, change.shape),
                start[name].dtype,
            )
            for name, change in update.items()
        }
    )


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
