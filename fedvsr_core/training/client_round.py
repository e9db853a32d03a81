"""A client's part in a round: its objective, its loss and its optimiser over its batches."""

from collections.abc import Mapping

from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import ClientSettings
from fedvsr_core.training.late_start import frozen_steps, is_frozen, optimiser_of
from fedvsr_core.training.local import Outcome, train
from fedvsr_core.training.objective import Objective, Start


def train_round(
    model: VideoModel, objective: Objective, settings: ClientSettings, start: Start
) -> tuple[Outcome, Mapping[str, NamedArrays]]:
    """Train a model in place for one round.

    Args:
        model: The global model, on the device of ``start``.
        objective: Newly built.
        settings: Optimiser, training and the late start of the flow network count.
        start: The round.

    Returns:
        What training reports, and what the objective returns in addition to the model.
    """
    frozen = is_frozen(settings, start.server_round)
    late = [model.get_parameter(name) for name in model.late_parameters()]
    for parameter in late:
        parameter.requires_grad_(not frozen)
    objective.begin(model, start)
    outcome = train(
        model,
        start.batches,
        loss=objective.loss(start.loss),
        optimiser=optimiser_of(model, settings, objective.parameters()),
        adjust=objective.adjust,
        clip_norm=settings.training.clip_norm,
        device=start.device,
        late=late,
        frozen_steps=len(start.batches) if frozen else frozen_steps(settings, start.server_round),
        autocast=settings.training.autocast,
    )
    return outcome, objective.end(model)
