"""The fixed report of a client that has scored the model on its own clips: sums, nothing of any clip."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from fedvsr_core.metrics.average import Mean

WHOSE = ("model", "bicubic")
_PARTS = {keys.SUM: "total", keys.COUNT: "count", keys.LEFT_OUT: "left_out", keys.INFINITE: "infinite"}


@dataclass(frozen=True)
class EvaluationReport:
    """The model's scores on the clips of a client.

    Attributes:
        client: The client's name.
        clips: How many clips it has held out; 0 if none.
        frames: How many frames of them were scored.
        sums: Sums by metric, for each of `WHOSE`.
        seconds: Wall-clock time.
        code: Digest of the code that scored.
    """

    client: str
    clips: int
    frames: int
    sums: Mapping[str, Mapping[str, Mean]]
    seconds: float
    code: str

    def pack(self) -> RecordDict:
        """The report as a message's content."""
        numbers: dict[str, int | float] = {
            keys.NUM_CLIPS: self.clips,
            keys.NUM_FRAMES: self.frames,
            keys.SECONDS: self.seconds,
        }
        for whose, sums in self.sums.items():
            for metric, mean in sums.items():
                numbers |= {_key(whose, metric, part): getattr(mean, field) for part, field in _PARTS.items()}
        words = {keys.CLIENT: self.client, keys.CODE: self.code}
        return RecordDict({keys.METRICS: MetricRecord(dict(numbers)), keys.ABOUT: ConfigRecord(dict(words))})

    @classmethod
    def unpack(cls, content: RecordDict, metrics: Sequence[str]) -> "EvaluationReport":
        """Read a report.

        Args:
            content: What came.
            metrics: The metrics that it must hold, if it has clips.

        Raises:
            KeyError: If an entry is missing.
            TypeError: If one isn't a number.
            ValueError: If one makes no sense.
        """
        numbers = records_of(content, MetricRecord)[keys.METRICS]
        words = records_of(content, ConfigRecord)[keys.ABOUT]

        def number(key: str) -> float:
            value = numbers[key]
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise TypeError(f"'{key}' must be a finite number, got {value!r:.50}")
            return float(value)

        def count(key: str) -> int:
            value = number(key)
            if not 0 <= value < 2**40 or value != int(value):
                raise ValueError(f"'{key}' must be a count, got {value}")
            return int(value)

        clips = count(keys.NUM_CLIPS)
        sums = {
            whose: {
                metric: Mean(
                    number(_key(whose, metric, keys.SUM)),
                    *(count(_key(whose, metric, part)) for part in list(_PARTS)[1:]),
                )
                for metric in metrics
            }
            for whose in (WHOSE if clips else ())
        }
        asked = {keys.NUM_CLIPS, keys.NUM_FRAMES, keys.SECONDS}
        asked |= {_key(whose, metric, part) for whose in WHOSE for metric in metrics for part in _PARTS}
        if extra := sorted(set(numbers) - asked):
            raise ValueError(f"it has {len(extra)} numbers that weren't asked for, such as {extra[0]!r:.50}")
        if (seconds := number(keys.SECONDS)) < 0:
            raise ValueError(f"'{keys.SECONDS}' must be >= 0, got {seconds}")
        return cls(
            client=str(words[keys.CLIENT]),
            clips=clips,
            frames=count(keys.NUM_FRAMES),
            sums=sums,
            seconds=seconds,
            code=str(words[keys.CODE]),
        )


def _key(whose: str, metric: str, part: str) -> str:
    return f"{whose}-{metric}-{part}"
