"""A client's part in a round: its objective, its loss and its optimiser over its batches."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch.optim import Optimizer

from fedvsr_core.components import build
from fedvsr_core.data.loaders import Batches
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.losses.weighted_sum import WeightedSum
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.schedules import Moment, Schedule
from fedvsr_core.settings import ClientSettings
from fedvsr_core.training.kept_moments import KeptMoments
from fedvsr_core.training.late_start import frozen_steps, is_frozen, optimiser_of
from fedvsr_core.training.local import Outcome, train
from fedvsr_core.training.objective import Objective, Start
from fedvsr_core.training.ranks import ALONE, Ranks


def train_round(
    model: VideoModel,
    objective: Objective,
    settings: ClientSettings,
    start: Start,
    *,
    ranks: Ranks = ALONE,
) -> tuple[Outcome, Mapping[str, NamedArrays]]:
    """Train a model in place for one round.

    Args:
        model: The global model, on the device of ``start``.
        objective: Newly built.
        settings: Optimiser, schedule, training and the late start of the flow network count.
        start: The round.
        ranks: The processes that train together, each on its share of every batch.

    Returns:
        What training reports, and what the objective returns in addition to the model,
        which is nothing on all ranks but the first.
    """
    frozen = is_frozen(settings, start.server_round)
    late = [model.get_parameter(name) for name in model.late_parameters()]
    for parameter in late:
        parameter.requires_grad_(not frozen)
    _weigh_loss(start, _moment(start, settings, 0))  # an objective may look at its gradients
    moments = KeptMoments(start.client_state) if settings.training.keep_moments else None
    objective.begin(model, replace(start, client_state=moments) if moments else start)
    batches = start.batches
    if isinstance(batches, Batches):
        batches = batches.share_of(ranks.rank, ranks.count)
    if settings.training.compile:
        model.compile()
    optimiser = optimiser_of(model, settings, objective.parameters(), fused=start.device.type == "cuda")
    if moments:
        moments.give_to(optimiser)
    outcome = train(
        model,
        batches,
        loss=objective.loss(start.loss),
        optimiser=optimiser,
        adjust=objective.adjust,
        clip_norm=settings.training.clip_norm,
        device=start.device,
        late=late,
        frozen_steps=len(start.batches) if frozen else frozen_steps(settings, start.server_round),
        precision=settings.training.precision,
        micro_batch=settings.training.micro_batch,
        ranks=ranks,
        before_step=_scheduled(optimiser, settings, start),
    )
    if ranks.rank:
        return outcome, {}
    returned = objective.end(model)
    if moments:
        moments.write(start.server_round, optimiser)
    return outcome, returned


def _scheduled(optimiser: Optimizer, settings: ClientSettings, start: Start) -> Callable[[int], None]:
    """What sets the step sizes and the weights of the loss before each step."""
    schedule: Schedule = build(settings.schedule)
    sizes = [group["lr"] for group in optimiser.param_groups]

    def set_for(step: int) -> None:
        moment = _moment(start, settings, step)
        for group, size in zip(optimiser.param_groups, sizes, strict=True):
            group["lr"] = size * schedule.factor(moment)
        _weigh_loss(start, moment)

    return set_for


def _moment(start: Start, settings: ClientSettings, step: int) -> Moment:
    return Moment(start.server_round, step, settings.rounds, len(start.batches))


def _weigh_loss(start: Start, moment: Moment) -> None:
    if isinstance(start.loss, WeightedSum):
        start.loss.set_for(moment)
