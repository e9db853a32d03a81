"""What a client's update counts in a weighted mean: something that the client can compute by itself."""

import math
from dataclasses import dataclass
from typing import Literal

By = Literal["one", "examples", "loss"]
_LOSSES = (2.0**-30, 2.0**30)


@dataclass(frozen=True)
class Share:
    """The rule for a client's share q, of which its weight is ``a + b * q`` with a and b the same for all.

    Attributes:
        by: What q depends on: nothing, the number of examples, or the loss.
        exponent: With the loss: q is ``loss ** -exponent``; in [0, 1].
        guard: Largest weight in units of the uniform one; infinite where there is no bound.
    """

    by: By
    exponent: float = 0.0
    guard: float = math.inf

    def root(self, *, examples: float, loss: float) -> float:
        """The root of q, of a client with so many examples and such a loss.

        Sums are made of powers of this one number, so that those of equal shares are equal exactly.
        """
        if self.by == "loss":
            return math.pow(bounded_loss(loss), -self.exponent / 2)
        return math.sqrt(examples) if self.by == "examples" else 1.0


def bounded_loss(loss: float) -> float:
    """The loss; beyond 1e-9 and 1e9 it counts as the nearest of these."""
    return min(max(loss, _LOSSES[0]), _LOSSES[1])
