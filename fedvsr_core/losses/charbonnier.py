"""The Charbonnier distance: an absolute difference that is smooth at zero."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from fedvsr_core.errors import ShapeError


class Charbonnier(nn.Module):
    """Mean of ``sqrt(d^2 + eps)`` over all elements, ``d = output - target``.

    At equality its value is ``sqrt(eps)``, not zero: 3.2e-5 for the default.

    Args:
        eps: Smoothing, > 0; the paper's value. It is added to the squared difference (some codebases add its
            square).

    Source: FedVSR (MMSys 2026), task loss.
    """

    def __init__(self, *, eps: Annotated[float, Field(gt=0)] = 1e-9) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two tensors.

        Args:
            output: Any shape.
            target: The shape of ``output``.

        Returns:
            Scalar, in float32 at least: ``eps`` would vanish in half precision.

        Raises:
            ShapeError: If the shapes differ.
        """
        difference = subtract(output, target)
        return torch.sqrt(difference * difference + self.eps).mean()


def subtract(output: Tensor, target: Tensor) -> Tensor:
    """``output - target`` in float32 at least.

    Raises:
        ShapeError: If the shapes differ.
    """
    if output.shape != target.shape:
        raise ShapeError(
            f"output and target must have equal shapes, got {tuple(output.shape)} and {tuple(target.shape)}"
        )
    if torch.promote_types(output.dtype, target.dtype).itemsize < 4:
        return output.float() - target.float()
    return output - target
