"""Factors that change in the course of a run, of the step size or of a part of the loss."""

import math
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from fedvsr_core.errors import ConfigurationError

Share = Annotated[float, Field(ge=0, le=1)]
"""Of all steps of a run."""


@dataclass(frozen=True)
class Moment:
    """A step of a run, as one client counts them.

    Attributes:
        server_round: From 1.
        step: Of the round, from 0.
        rounds: Of the whole run.
        steps: Of this round; where clients count epochs, rounds may differ.
    """

    server_round: int
    step: int
    rounds: int
    steps: int

    def __post_init__(self) -> None:
        if not (1 <= self.server_round <= self.rounds and 0 <= self.step < self.steps):
            raise ConfigurationError(
                f"a step must be of the run, got step {self.step} of {self.steps} in round"
                f" {self.server_round} of {self.rounds}"
            )

    @property
    def done(self) -> float:
        """The share of the run before this step, in [0, 1)."""
        return (self.server_round - 1 + self.step / self.steps) / self.rounds

    @property
    def doing(self) -> float:
        """The share of the run with this step, in (0, 1]."""
        return (self.server_round - 1 + (self.step + 1) / self.steps) / self.rounds


class Schedule(Protocol):
    """A pure function of the moment."""

    def factor(self, moment: Moment) -> float:
        """What a step size or a weight is multiplied by, >= 0."""


class Constant:
    """Always 1."""

    def factor(self, moment: Moment) -> float:
        """One."""
        return 1.0


class Cosine:
    """Falls from 1 along half a cosine.

    Args:
        last: What it falls to at the end of the run, in [0, 1].

    Source: SGDR (Loshchilov and Hutter, ICLR 2017), equation 5, without restarts.
    """

    def __init__(self, *, last: Share = 0.0) -> None:
        self.last = _share(last=last)

    def factor(self, moment: Moment) -> float:
        """From 1 in the first step to nearly ``last`` in the last one."""
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * moment.done)) / 2


class WarmUp:
    """Rises step by step, then follows another schedule.

    Args:
        share: Of the run in which it rises, in [0, 1].
        then: What it is multiplied by throughout; itself a schedule of the whole run.
    """

    def __init__(self, *, share: Share, then: Schedule | None = None) -> None:
        self.share = _share(share=share)
        self.then = then or Constant()

    def factor(self, moment: Moment) -> float:
        """Above 0 from the first step on."""
        rise = min(moment.doing / self.share, 1.0) if self.share else 1.0
        return rise * self.then.factor(moment)


class Late:
    """Is 0 first, then rises to 1; for a part of the loss that shall act late.

    Args:
        begin: Share of the run after which it rises, in [0, 1].
        end: Share of the run after which it is 1, at least ``begin``.

    Raises:
        ConfigurationError: If they are in the wrong order.
    """

    def __init__(self, *, begin: Share, end: Share) -> None:
        self.begin, self.end = _share(begin=begin), _share(end=end)
        if begin > end:
            raise ConfigurationError(f"begin must not be after end, got {begin} and {end}")

    def factor(self, moment: Moment) -> float:
        """Linear in between."""
        if moment.done >= self.end:
            return 1.0
        return max(moment.done - self.begin, 0.0) / (self.end - self.begin) if self.end > self.begin else 0.0


def _share(**named: float) -> float:
    [(name, value)] = named.items()
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{name} must be in [0, 1], got {value}")
    return value
