"""The processes that train one model together, each on its share of every batch.

After each backward pass the gradients of all are averaged by one sum over all that is trained. Torch's
DistributedDataParallel would start some of that earlier, during the backward pass; but it has to be made anew
when late parameters begin to learn, searches the graph for parameters that a clip doesn't use, and knows
nothing of the parameters of an objective.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """One process among several; `ALONE` is one by itself.

    Attributes:
        rank: Which one it is, from 0.
        count: How many there are. Above 1, torch's default process group has been set up.
    """

    rank: int = 0
    count: int = 1

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean over all ranks in the place of each gradient."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count > 1 and gradients:
            together = torch.cat([gradient.flatten() for gradient in gradients])
            torch.distributed.all_reduce(together)
            parts = (together / self.count).split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def average(self, values: Tensor) -> Tensor:
        """The mean over all ranks, element by element."""
        if self.count > 1:
            values = values.clone()
            torch.distributed.all_reduce(values)
            values /= self.count
        return values


ALONE = Ranks()
