"""A loss of several parts, each with its weight and reported under its name."""

from typing import NotRequired, TypedDict

from torch import Tensor, nn

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.schedules import Constant, Moment, Schedule


class Part(TypedDict):
    """One part of a weighted sum.

    Attributes:
        weight: Its factor, >= 0.
        loss: Called with (output, target), returns a scalar.
        schedule: What the weight is multiplied by in the course of a run; always 1 if there is none.
    """

    weight: float
    loss: nn.Module
    schedule: NotRequired[Schedule]


class WeightedSum(nn.Module):
    """Sum of losses.

    Args:
        parts: The losses by name, such as ``charbonnier``; the names appear in reports and plots.

    Raises:
        ConfigurationError: If there are no parts, or a weight is negative.

    Source: FedVSR (MMSys 2026), local objective; both of its weights are 1.
    """

    def __init__(self, *, parts: dict[str, Part]) -> None:
        super().__init__()
        negative = [name for name, part in parts.items() if not part["weight"] >= 0]
        if not parts or negative:
            raise ConfigurationError(f"a loss needs parts with weights >= 0, got {negative or 'no parts'}")
        self.weights = {name: part["weight"] for name, part in parts.items()}
        self._whole = dict(self.weights)
        self._schedules = {name: part.get("schedule", Constant()) for name, part in parts.items()}
        self.losses = nn.ModuleDict({name: part["loss"] for name, part in parts.items()})

    def set_for(self, moment: Moment) -> None:
        """Set the weights for a step of training; before that they are whole."""
        for name, schedule in self._schedules.items():
            self.weights[name] = self._whole[name] * schedule.factor(moment)

    def forward(self, output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compare a clip with its ground truth.

        Args:
            output: (B, T, C, H, W).
            target: (B, T, C, H, W).

        Returns:
            The weighted sum, and each part by name: detached, before its weight.
        """
        values = {name: loss(output, target) for name, loss in self.losses.items()}
        total = sum(
            (self.weights[name] * value for name, value in values.items()), start=output.new_zeros(())
        )
        return total, {name: value.detach() for name, value in values.items()}
