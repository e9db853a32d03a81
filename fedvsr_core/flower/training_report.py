"""The fixed report that a client sends with its weights: all that leaves a site but arrays."""

import math
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from fedvsr_core.printable import printable

LONGEST_S = 1e7
"""Seconds that no round takes: 115 days."""


@dataclass(frozen=True)
class TrainingReport:
    """The result of a client's training in a round.

    Attributes:
        client: The client's name, the same in every round and run: its partition or its site.
        examples: Training windows that the client's clips hold; what FedAvg weighs by.
        steps: Optimiser steps taken.
        loss: Mean total training loss over the steps.
        parts: The same for each part of the loss, by name, such as ``charbonnier``.
        seconds: Wall-clock time of the training.
        peak_memory_mb: Peak memory of the training process (host) or of the device (CUDA).
        device: Where it trained, such as ``cpu`` or ``cuda:0 NVIDIA A100``.
        code: Digest of the code that trained.
        batches: Digest of the windows seen, in order: equal digests mean equal batches.
        epsilon: Of differential privacy in this round, 0 if there is none. With it, ``loss`` and ``parts``
            are NaN: losses stay at the site.
        delta: The same.
    """

    client: str
    examples: int
    steps: int
    loss: float
    parts: dict[str, float]
    seconds: float
    peak_memory_mb: float
    device: str
    code: str
    batches: str
    epsilon: float = 0.0
    delta: float = 0.0

    @property
    def withheld(self) -> bool:
        """Whether the site keeps its losses, for privacy."""
        return self.epsilon > 0 and all(map(math.isnan, (self.loss, *self.parts.values())))

    def pack(self) -> dict[str, MetricRecord | ConfigRecord]:
        """The report as records, by their name in the reply."""
        numbers: dict[str, int | float] = {
            keys.NUM_EXAMPLES: self.examples,
            keys.NUM_STEPS: self.steps,
            keys.LOSS: self.loss,
            keys.SECONDS: self.seconds,
            keys.PEAK_MEMORY_MB: self.peak_memory_mb,
        }
        numbers |= {keys.LOSS_PART_PREFIX + name: value for name, value in self.parts.items()}
        words: dict[str, str | float] = {
            keys.CLIENT: self.client,
            keys.DEVICE: self.device,
            keys.CODE: self.code,
            keys.BATCHES: self.batches,
            keys.EPSILON: self.epsilon,
            keys.DELTA: self.delta,
        }
        return {keys.METRICS: MetricRecord(dict(numbers)), keys.ABOUT: ConfigRecord(dict(words))}

    @classmethod
    def unpack(cls, content: RecordDict) -> "TrainingReport":
        """Read a report.

        Raises:
            KeyError: If a record or an entry is missing.
            TypeError: If an entry has another type than the report's.
        """
        numbers = records_of(content, MetricRecord)[keys.METRICS]
        words = records_of(content, ConfigRecord)[keys.ABOUT]

        def number(key: str) -> int | float:
            value = numbers[key]
            if not isinstance(value, int | float):
                raise TypeError(f"'{key}' must be a number, got {type(value).__name__}")
            return value

        def fraction(key: str) -> float:
            value = words[key]
            if not isinstance(value, float) or not 0 <= value < math.inf:
                raise TypeError(f"'{key}' must be a finite number >= 0, got {value!r:.50}")
            return value

        return cls(
            client=str(words[keys.CLIENT]),
            examples=int(number(keys.NUM_EXAMPLES)),
            steps=int(number(keys.NUM_STEPS)),
            loss=float(number(keys.LOSS)),
            parts={
                key.removeprefix(keys.LOSS_PART_PREFIX): float(number(key))
                for key in numbers
                if key.startswith(keys.LOSS_PART_PREFIX)
            },
            seconds=float(number(keys.SECONDS)),
            peak_memory_mb=float(number(keys.PEAK_MEMORY_MB)),
            device=printable(str(words[keys.DEVICE])),
            code=str(words[keys.CODE]),
            batches=printable(str(words[keys.BATCHES])),
            epsilon=fraction(keys.EPSILON),
            delta=fraction(keys.DELTA),
        )
