"""What may stand in each place of the configuration, and what is wrong with what stands there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from flwr.serverapp.strategy import Strategy
from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from fedvsr_core.components import Count, Whole, build, find, problems
from fedvsr_core.data.degradation import Degradation
from fedvsr_core.data.partition import Partition
from fedvsr_core.data.shots import Dataset
from fedvsr_core.errors import ConfigurationError, MissingToolError
from fedvsr_core.losses.weighted_sum import WeightedSum
from fedvsr_core.metrics.protocol import Protocol
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.models.size import check_size
from fedvsr_core.schedules import Schedule
from fedvsr_core.training.objective import Objective


@dataclass(frozen=True)
class Place:
    """What stands in a place of the configuration.

    Attributes:
        kind: Its base class or protocol, as for `fedvsr_core.components.find`.
        given: Makes stand-ins of the arguments that whoever builds it adds.
        ranges: Types of arguments that constructors of torch and Flower take without a look.
        try_out: Makes the component, or as much of it as tells whether its arguments are sound.
    """

    kind: type
    given: Callable[[], Mapping[str, Any]] = dict
    ranges: Mapping[str, Any] = field(default_factory=dict)
    try_out: Callable[..., object] = build


def _two_weights() -> dict[str, Any]:
    return {"params": [nn.Parameter(torch.zeros(2, 2))]}


def _one_round() -> dict[str, Any]:
    return {"num_rounds": 1}


_Positive = Annotated[float, Field(gt=0)]
_Amount = Annotated[float, Field(ge=0)]
_Fraction = Annotated[float, Field(ge=0, lt=1)]
_Step = Annotated[float, Field(gt=0, le=100)]
_Norm = Annotated[float, Field(gt=0, le=1e4)]
STEP_RANGES: Mapping[str, Any] = {
    "lr": _Amount,
    "betas": tuple[_Fraction, _Fraction],
    "eps": _Amount,
    "momentum": _Fraction,
    "weight_decay": _Amount,
}
"""Of the clients' optimisers."""
SERVER_RANGES: Mapping[str, Any] = {
    "eta": _Step,
    "eta_l": _Amount,
    "beta_1": _Fraction,
    "beta_2": _Fraction,
    "tau": _Positive,
    "server_learning_rate": _Step,
    "server_momentum": _Fraction,
    "step_size": _Step,
    "q": Annotated[float, Field(ge=0, le=10)],
    "client_learning_rate": _Positive,
    "num_malicious_nodes": Whole,
    "num_nodes_to_select": Count,
    "noise_multiplier": Annotated[float, Field(ge=0, le=1000)],
    "clipping_norm": _Norm,
    "initial_clipping_norm": _Norm,
    "clip_norm_lr": Annotated[float, Field(gt=0, le=10)],
    "clipped_count_stddev": Annotated[float, Field(gt=0, le=100)] | None,
}
"""Of server halves: beyond them the first rounds already end a run."""
PLACES: Mapping[str, Place] = {
    "model": Place(VideoModel, try_out=check_size),
    "loss": Place(WeightedSum),
    "optimiser": Place(Optimizer, given=_two_weights, ranges=STEP_RANGES),
    "schedule": Place(Schedule),
    "data": Place(Dataset),
    "degradation": Place(Degradation),
    "partition": Place(Partition),
    "protocol": Place(Protocol),
    "strategy.server": Place(Strategy, given=_one_round, ranges=SERVER_RANGES),
    "strategy.client": Place(Objective),
}
"""The places of components in `fedvsr_core.settings.Settings`."""


def problems_at(plain: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with the components of a configuration.

    Each is compared with the constructor it names, and if that finds nothing, it is built: constructors know
    the ranges of their arguments, and read no files. A network is built without its memory.

    Args:
        plain: The configuration, as plain values; places that hold no component are left to its schema.

    Yields:
        One sentence for each problem.
    """
    for where, place in PLACES.items():
        component: Any = plain
        for key in where.split("."):
            component = component.get(key) if isinstance(component, Mapping) else None
        if isinstance(component, Mapping):
            yield from _problems_of(component, where, place)


def _problems_of(component: Mapping[str, Any], where: str, place: Place) -> Iterator[str]:
    try:
        find(component, place.kind)
    except ConfigurationError as error:
        yield f"{where}: {error}; conf/{where.partition('.')[0]} shows how"
        return
    given = place.given()
    wrong = list(problems(component, where, given, ranges=place.ranges))
    yield from wrong
    if wrong:
        return
    try:
        place.try_out(component, **given)
    except MissingToolError:
        pass  # this machine may only compose what another one runs
    except ConfigurationError as error:
        yield f"{where}: {error}"
    except (RuntimeError, ArithmeticError, AssertionError, MemoryError) as error:  # torch can't, and says why
        yield f"{where}: it can't be built with these arguments: {str(error).splitlines()[0]}; take others"
