"""The feed-forward halves of transformer layers."""

import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them; acts on the last axis."""

    def __init__(self, *, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class GatedMlp(nn.Module):
    """One linear layer, through an exact GELU, gates another; acts on the last axis.

    Source: Shazeer, "GLU Variants Improve Transformer", 2020, GEGLU (eq. 5), with biases.
    """

    def __init__(self, *, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc11 = nn.Linear(inputs, hidden)
        self.fc12 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        y: Tensor = self.fc2(F.gelu(self.fc11(x)) * self.fc12(x))
        return y
