"""How a table of scores is made, as data that stays with every number."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fedvsr_core.errors import ConfigurationError, DataError
from fedvsr_core.metrics.names import METRICS, check_names, measured_with


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to score clips.

    Scores of two protocols don't compare: a border or a channel moves them by decibels.

    Attributes:
        name: What it is called, such as ``vid4-y``.
        metrics: What is measured, by the names of `fedvsr_core.metrics.names`; the first one counts.
        border: Pixels cut off on all four sides before PSNR and SSIM; other metrics see whole frames.
        frames: ``all``, or ``centre`` for the middle frame of each clip only.
        skip: Frames left out at either end of a clip.
        averaging: ``clips``: over the frames of a clip, then over clips, which count the same;
            ``frames``: over all frames. Decibels are averaged, never errors.
        low: What made the low-resolution frames: an option of ``conf/degradation``, ``given`` for frames that
            came with the data, or None for either.

    Raises:
        ConfigurationError: If a value makes no sense.
    """

    name: str
    metrics: Sequence[str]
    border: int
    frames: Literal["all", "centre"]
    skip: int
    averaging: Literal["clips", "frames"]
    low: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        check_names(self.metrics)
        if self.border < 0 or self.skip < 0:
            raise ConfigurationError(
                f"protocol '{self.name}' needs border and skip >= 0, got {self.border} and {self.skip}"
            )
        for key, known in (("frames", ("all", "centre")), ("averaging", ("clips", "frames"))):
            if (value := getattr(self, key)) not in known:
                raise ConfigurationError(
                    f"{key} of protocol '{self.name}' must be one of {', '.join(known)}, got {value!r}"
                )

    @property
    def headline(self) -> str:
        """The metric that counts."""
        return self.metrics[0]

    @property
    def reported(self) -> tuple[str, ...]:
        """All values that come out: `metrics`, and those that are measured together with them."""
        return tuple(dict.fromkeys(name for asked in self.metrics for name in measured_with(asked)))

    def extended(self, metrics: Sequence[str]) -> "Protocol":
        """This protocol with further metrics after its own, which don't change those."""
        return replace(self, metrics=tuple(dict.fromkeys([*self.metrics, *metrics])))

    def on(self, low: str) -> "Protocol":
        """This protocol on low-resolution frames that ``low`` made.

        Raises:
            ConfigurationError: If they must be others.
        """
        if self.low not in (None, low):
            raise ConfigurationError(
                f"protocol '{self.name}' is defined on low-resolution frames '{self.low}', got '{low}';"
                " scores on others don't compare with its tables: choose another protocol, or say so with"
                f" protocol.low={low}"
            )
        return replace(self, low=low)

    def scored(self, frames: int, clip: str) -> range:
        """The frames of a clip that count, from 0.

        Args:
            frames: How many the clip has.
            clip: Its name.

        Raises:
            DataError: If none is left.
        """
        left = range(self.skip, frames - self.skip)
        if not left:
            raise DataError(
                f"clip '{clip}' has {frames} frames, but protocol '{self.name}' leaves out {self.skip} at"
                " either end; drop the clip or choose another protocol"
            )
        return left if self.frames == "all" else left[len(left) // 2 :][:1]

    def facts(self) -> dict[str, Any]:
        """All of it as plain values, to be stored with scores."""
        return {**asdict(self), "metrics": list(self.metrics)}

    def __str__(self) -> str:
        """One line for a person."""
        frames = "the centre frame" if self.frames == "centre" else "all frames"
        skip = f" but {self.skip} at either end" if self.skip else ""
        mean = "mean of frames, then of clips" if self.averaging == "clips" else "mean of all frames"
        metrics = ", ".join(METRICS[name].label for name in self.metrics)
        return (
            f"{self.name} ({metrics}; {frames}{skip}; border {self.border}; {mean}; low resolution:"
            f" {self.low or 'any'})"
        )


def check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any], what: str) -> None:
    """See whether scores of two protocols compare; their names and further metrics may differ.

    Args:
        ours: `Protocol.facts` of one.
        theirs: Of the other.
        what: What the other is, such as a file.

    Raises:
        ConfigurationError: If they don't compare.
    """
    differing = [
        f"{key} {ours.get(key)!r} and {theirs.get(key)!r}"
        for key in ("border", "frames", "skip", "averaging", "low")
        if ours.get(key) != theirs.get(key)
    ]
    if ours["metrics"][0] != theirs["metrics"][0]:
        differing.append(f"headline {ours['metrics'][0]} and {theirs['metrics'][0]}")
    if differing:
        raise ConfigurationError(
            f"scores of protocol '{ours['name']}' don't compare with those of '{theirs['name']}' in {what}:"
            f" they differ in {'; '.join(differing)}; score both with one protocol"
        )
