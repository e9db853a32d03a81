"""Pretrained parameters that start to learn later than the others, counted in steps over all rounds."""

from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer

from fedvsr_core.components import build
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import ClientSettings, Settings


def frozen_steps(settings: Settings | ClientSettings, server_round: int) -> int:
    """How many of a round's first steps leave late parameters as they are.

    A round counts as ``training.steps`` steps, also if ``training.epochs`` lets clients take different
    numbers of them; so the steps before a round follow from its number.

    Args:
        settings: ``flow.frozen_steps`` and ``training.steps`` count.
        server_round: From 1; 0 stands for the model before the first.
    """
    before = max(server_round - 1, 0) * settings.training.steps
    return min(max(settings.flow.frozen_steps - before, 0), settings.training.steps)


def is_frozen(settings: Settings | ClientSettings, server_round: int) -> bool:
    """Whether late parameters stay as they are for the whole of a round."""
    return frozen_steps(settings, server_round) == settings.training.steps


def optimiser_of(
    model: VideoModel,
    settings: ClientSettings,
    more: Iterable[nn.Parameter] = (),
    *,
    fused: bool = False,
) -> Optimizer:
    """The optimiser of all parameters, with ``flow.step_size`` times the step size for the late ones.

    Args:
        model: The network.
        settings: The optimiser, and ``flow.step_size``.
        more: Parameters of the objective.
        fused: Whether one kernel makes the step of all parameters, as it can on CUDA; for torch's
            optimisers, unless the settings say how.
    """
    late = set(model.late_parameters())
    others = [parameter for name, parameter in model.named_parameters() if name not in late] + list(more)
    groups = [{"params": others}, {"params": [model.get_parameter(name) for name in sorted(late)]}]
    chosen = settings.optimiser.keys() & {"fused", "foreach", "differentiable"}
    kernel = {"fused": True} if fused and not chosen else {}
    optimiser: Optimizer = build(settings.optimiser, params=groups if late else others, **kernel)
    if late:
        optimiser.param_groups[-1]["lr"] *= settings.flow.step_size
    return optimiser
