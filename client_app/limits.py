"""What a site's operator allows a run to ask: enough steps and windows, and settings whose effect is known.

A reply that is made of few windows tells much of each. So few of them are refused, and so are settings that
let one step outweigh all others, or turn an update into something that can be computed back.
"""

from collections.abc import Iterator, Mapping
from math import isfinite

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedvsr_core.components import TARGET
from fedvsr_core.errors import ConfigurationError, LimitError
from fedvsr_core.flower import keys
from fedvsr_core.schedules import WarmUp
from fedvsr_core.settings import ClientSettings

_LARGEST = {"momentum": 0.99, "dampening": 0.99, "betas": 0.9999}
"""Of more momentum the first step is all that can be seen. All are at least 0."""
_ARGUMENTS = {TARGET, "lr", "eps", "weight_decay", "nesterov", "amsgrad", "foreach", "fused", *_LARGEST}
"""Of optimisers: those whose effect is bounded here, and those without any."""
_MOST_PULL = 0.02
"""Of the way back, to the start or to zero, in a step: the last fifty steps count. Of 1, the last would."""
_SCHEDULES = "Constant Cosine WarmUp"
"""Of the step size; one inside of another at most once. With others one step might be all that counts."""
_USUAL_LR = 1e-3
"""Torch's, where an optimiser's settings name none."""


class Limits(BaseModel):
    """The limits of one site; what is None isn't limited.

    Attributes:
        least_steps: Steps of the optimiser in a round.
        least_windows: Windows that the steps of a round draw together; of few clips the same come again.
        least_patch: Low-resolution pixels of a crop's side.
        most_lr: Largest step size, times the weights of the loss's parts and of the objective's terms (those
            over their temperature) together, or ``flow.step_size``.
        most_eps: Largest ``eps`` of the optimiser. A large one makes an update linear in the gradients.
        most_loss_eps: Largest ``eps`` of a part of the loss. Far above it, gradients are linear in what the
            network gets wrong.
        optimisers: Names of classes of ``torch.optim``, separated by blanks.
        losses: Those of ``fedvsr_core.losses``.
        models: Those of ``fedvsr_core.models``.
        rounds_a_day: Rounds of training that are answered within 24 hours, and as many requests for scores.
        evaluate: Whether the model is scored on the site's own held-out clips.
        secure: Whether updates leave in secure sums alone.
    """

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )

    least_steps: int | None = Field(default=None, ge=1)
    least_windows: int | None = Field(default=None, ge=1)
    least_patch: int | None = Field(default=None, ge=1)
    most_lr: float | None = Field(default=None, gt=0)
    most_eps: float | None = Field(default=None, gt=0)
    most_loss_eps: float | None = Field(default=None, gt=0)
    optimisers: str | None = None
    losses: str | None = None
    models: str | None = None
    rounds_a_day: int | None = Field(default=None, ge=0)
    evaluate: bool = True
    secure: bool = False

    @classmethod
    def of(cls, node_config: Mapping[str, object]) -> "Limits":
        """The limits of a node.

        Raises:
            ConfigurationError: If one makes no sense.
        """
        try:
            return cls.model_validate(dict(node_config))
        except ValidationError as error:
            wrong = ", ".join(f"{problem['loc'][0]}={problem['input']!r}" for problem in error.errors())
            raise ConfigurationError(
                f"the limits of the node configuration make no sense: {wrong}; mend them in site.toml"
            ) from error

    def check_settings(self, settings: ClientSettings) -> None:
        """See whether this site trains, or scores a model, with these settings.

        Raises:
            LimitError: If not.
        """
        patch, optimiser = settings.training.patch, settings.optimiser
        if self.least_patch and patch < self.least_patch:
            raise LimitError(f"'{keys.LEAST_PATCH}' is {self.least_patch}, but training.patch is {patch}")
        _check_names(keys.MODELS, self.models, settings.model, "fedvsr_core.models.")
        _check_names(keys.LOSSES, self.losses, settings.loss, "fedvsr_core.losses.")
        _check_names(keys.OPTIMISERS, self.optimisers, optimiser, "torch.optim.")
        if self.optimisers is not None:
            _check_arguments(optimiser)
            _check_names("schedule", _SCHEDULES, settings.schedule, "fedvsr_core.schedules.")
            if list(_values(settings.schedule, TARGET)).count(f"{WarmUp.__module__}.{WarmUp.__name__}") > 1:
                raise LimitError("'schedule' allows one WarmUp; many of them make the last step the largest")
        if self.most_lr is not None:
            _check_steps(settings, self.most_lr)
        _check_eps(keys.MOST_EPS, self.most_eps, optimiser)
        _check_eps(keys.MOST_LOSS_EPS, self.most_loss_eps, settings.loss)

    def check_amount(self, steps: int, batch: int) -> None:
        """See whether a round is made of enough.

        Args:
            steps: Of the optimiser, that move all parameters.
            batch: Windows a step.

        Raises:
            LimitError: If not.
        """
        if self.least_steps and steps < self.least_steps:
            raise LimitError(f"'{keys.LEAST_STEPS}' is {self.least_steps}, but the round has {steps}")
        if self.least_windows and steps * batch < self.least_windows:
            raise LimitError(
                f"'{keys.LEAST_WINDOWS}' is {self.least_windows}, but the round has {steps * batch}"
            )


def _check_names(key: str, allowed: str | None, component: Mapping[str, object], package: str) -> None:
    """See whether a component, and all that are nested in it, are allowed."""
    if allowed is None:
        return
    names = {f"{package}{name}" for name in allowed.split()}
    for target in _values(component, TARGET):
        short = f"{package}{str(target).rpartition('.')[2]}"
        if not str(target).startswith(package) or short not in names:
            raise LimitError(f"'{key}' allows {allowed or 'none'}, but one is {str(target)[:100]!r}")


def _check_eps(key: str, most: float | None, component: Mapping[str, object]) -> None:
    for eps in _numbers(component, "eps"):
        if most is not None and not 0 < eps <= most:
            raise LimitError(f"'{key}' is {most:g}, but an eps is {eps:g}")


def _check_arguments(optimiser: Mapping[str, object]) -> None:
    """See whether an optimiser's steps all count."""
    if unknown := sorted(optimiser.keys() - _ARGUMENTS):
        raise LimitError(f"the effect of optimiser.{unknown[0][:50]} isn't bounded; leave it out")
    if nested := sorted(name for name, value in optimiser.items() if isinstance(value, Mapping)):
        raise LimitError(f"optimiser.{nested[0][:50]} must be a plain value, got settings of its own")
    for name, largest in _LARGEST.items():
        for number in _numbers(optimiser, name):
            if not 0 <= number <= largest:
                raise LimitError(f"optimiser.{name} must be within 0 and {largest:g}, got {number:g}")


def _check_steps(settings: ClientSettings, most: float) -> None:
    """See whether a step is bounded, and takes back little of those before it."""
    rate = next(_numbers(settings.optimiser, "lr"), _USUAL_LR)
    sharpest = min(_numbers(settings.objective, "temperature"), default=1.0)
    if not sharpest > 0:
        raise LimitError(f"objective.temperature must be > 0, got {sharpest:g}")
    terms = [weight / sharpest for weight in _numbers(settings.objective, "weight")]
    weights = [*_numbers(settings.loss, "weight"), *terms]
    times = max(1.0, sum(weights), settings.flow.step_size)
    if min(weights, default=0) < 0 or not 0 < rate * times <= most:
        raise LimitError(
            f"'{keys.MOST_LR}' is {most:g}, but optimiser.lr is {rate:g}, with weights of {times:g} together"
        )
    pulls = [*_numbers(settings.optimiser, "weight_decay"), *_numbers(settings.objective, "mu")]
    if min(pulls, default=0) < 0 or rate * sum(pulls) * max(1.0, settings.flow.step_size) > _MOST_PULL:
        raise LimitError(
            f"weight_decay and mu, times optimiser.lr, may be {_MOST_PULL:g} together and none below 0,"
            f" got {rate * sum(pulls):g}"
        )


def _numbers(value: object, name: str) -> Iterator[float]:
    """The numbers under a name, at any depth."""
    for each in _values(value, name):
        for number in each if isinstance(each, list | tuple) else [each]:
            if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number):
                raise LimitError(f"'{name}' must be a finite number, got {str(number)[:50]!r}")
            yield float(number)


def _values(value: object, name: str) -> Iterator[object]:
    """What is found under a name in nested settings."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == name:
                yield item
            yield from _values(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _values(item, name)
