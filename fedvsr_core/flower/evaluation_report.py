"""The fixed report of a client that has scored the model on its own clips: sums, nothing of any clip."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from fedvsr_core.flower import keys
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.training_report import LONGEST_S
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
            ValueError: If one makes no sense, or there are others.
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

        clips, frames, seconds = count(keys.NUM_CLIPS), count(keys.NUM_FRAMES), number(keys.SECONDS)
        if frames < clips or not 0 <= seconds <= LONGEST_S:
            raise ValueError(f"{clips} clips of {frames} frames in {seconds:g} s make no sense")
        scored = WHOSE if clips else ()
        asked = {_key(whose, metric, part) for whose in scored for metric in metrics for part in _PARTS}
        if extra := set(numbers) - asked - {keys.NUM_CLIPS, keys.NUM_FRAMES, keys.SECONDS}:
            raise ValueError(f"{len(extra)} numbers weren't asked for, such as {min(extra)!r:.50}")
        sums = {
            whose: {
                metric: Mean(
                    number(_key(whose, metric, keys.SUM)),
                    *(count(_key(whose, metric, part)) for part in list(_PARTS)[1:]),
                )
                for metric in metrics
            }
            for whose in scored
        }
        return cls(
            client=str(words[keys.CLIENT]),
            clips=clips,
            frames=frames,
            sums=sums,
            seconds=seconds,
            code=str(words[keys.CODE]),
        )


def _key(whose: str, metric: str, part: str) -> str:
    return f"{whose}-{metric}-{part}"
