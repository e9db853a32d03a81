"""A batch that is computed a few samples at a time where a device has too little memory for all at once."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

_log = logging.getLogger(__name__)


class MicroBatches:
    """How many samples a step computes at once; their gradients add up to those of the whole batch.

    Args:
        size: Samples at once; None: the whole batch.
        device: Where they are computed, for messages.

    Attributes:
        size: The same; smaller after a step that ran out of memory.
    """

    def __init__(self, size: int | None, device: torch.device) -> None:
        self.size = size
        self.device = device
        self._halved = False

    def run(self, step: Callable[[int], T], batch: int) -> T:
        """Call a step; once in a round it may run out of memory, and is called again with half the samples.

        Args:
            step: Takes the number of samples to compute at once; what it did before an error doesn't count.
            batch: Samples in the batch.

        Raises:
            MemoryError: If it runs out of memory again, or can't be called with fewer samples.
        """
        size = min(self.size or batch, batch)
        try:
            return step(size)
        except torch.OutOfMemoryError as error:
            if self._halved or size == 1:
                raise MemoryError(
                    f"a training step with {size} of {batch} samples at once needs more memory than"
                    f" {self.device} has free; lower training.batch, training.patch or training.window, or"
                    " set training.checkpointing"
                ) from error
        # Outside of the handler, whose error holds on to the tensors of the step that failed.
        self._halved, self.size = True, -(-size // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        _log.warning(
            "out of memory on %s with %d of %d samples at once: again with %d, which makes the same step",
            self.device, size, batch, self.size,
        )  # fmt: skip
        return self.run(step, batch)
