"""What a line of a journal must hold for those who read it; a line may hold more."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from fedvsr_core.flower import keys
from fedvsr_core.metrics.names import METRICS


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Client(_Entry):
    client: str


class _Refused(_Client):
    code: str
    reason: str


class _Trained(_Client):
    loss: float | None = None
    weight: float | None = None
    seconds: float | None = None
    peak_memory_mb: float | None = Field(default=None, alias="peak-memory-mb")
    parts: dict[str, float] = {}


class _Scorer(_Client):
    clips: int
    frames: int
    seconds: float


class _Means(_Entry):
    """Scores by metric, and the same by clip."""

    clips: dict[str, dict[str, Any]] | int = {}

    @model_validator(mode="after")
    def _are_numbers(self) -> Self:
        by_clip = self.clips.values() if isinstance(self.clips, dict) else ()
        for scores in (self.model_extra or {}, *by_clip):
            for name in METRICS.keys() & scores.keys():
                float(scores[name])
        return self


class _Line(_Entry):
    round: int = Field(default=0, ge=0)
    seconds: float = 0.0


class _Start(_Line):
    phase: Literal["start"]
    rounds: int | None = None
    clients: int | None = None
    names: list[str] = []
    versions: dict[str, str | None] = {}


class _Stage(_Entry):
    stage: str
    asked: int
    answered: int
    seconds: float


class _Sums(_Entry):
    """Sums over the clients of a secure round, numbers all of them."""

    @model_validator(mode="after")
    def _are_numbers(self) -> Self:
        sums = self.model_extra or {}
        for name in (keys.CLIENTS, keys.NUM_EXAMPLES, keys.SECONDS):
            float(sums[name])
        float(sums.get(keys.LOSS, 0.0))
        if not float(sums[keys.CLIENTS]) >= 1:
            raise ValueError("its sums are of no client")
        return self


class _Secure(_Entry):
    stages: list[_Stage]
    sums: _Sums | None = None
    void: str | None = None


class _Train(_Line):
    phase: Literal["train"]
    round: int = Field(ge=0)
    clients: list[_Trained]
    refused: list[_Refused]
    hellinger: float | None = None
    mixing: float | None = None
    secure: _Secure | None = None
    aggregation_seconds: float | None = Field(default=None, alias="aggregation-seconds")
    server_memory_mb: float | None = Field(default=None, alias="server-memory-mb")
    bytes_up: float = Field(default=0, alias="bytes-up")
    bytes_down: float = Field(default=0, alias="bytes-down")


class _Evaluate(_Line, _Means):
    phase: Literal["evaluate", "evaluate-clients"]
    round: int = Field(ge=0)
    bicubic: _Means | None = None
    protocol: dict[str, Any] = {}
    clients: list[_Scorer] = []

    @model_validator(mode="after")
    def _has_a_known_protocol(self) -> Self:
        if self.protocol and self.protocol["metrics"][0] not in METRICS:
            raise ValueError("its protocol begins with an unknown metric")
        return self


class _RollBack(_Line):
    phase: Literal["roll-back"]
    to: int = Field(ge=0)
    fell: float
    against: list[str]


class _End(_Line):
    phase: Literal["end"]
    outcome: str


class _Other(_Line):
    phase: str


_KINDS = {
    name: TypeAdapter(kind)
    for kind, names in (
        (_Start, ("start",)),
        (_Train, ("train",)),
        (_Evaluate, ("evaluate", "evaluate-clients")),
        (_RollBack, ("roll-back",)),
        (_End, ("end",)),
    )
    for name in names
}
_OTHER = TypeAdapter(_Other)


def check_line(line: dict[str, Any]) -> None:
    """See that a line holds what its readers need.

    Raises:
        ValueError: If it doesn't; says what.
    """
    phase = line.get("phase")
    try:
        (_KINDS.get(phase, _OTHER) if isinstance(phase, str) else _OTHER).validate_python(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise ValueError(f"{where}: {first['msg']}") from error
    except (TypeError, OverflowError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{error!r:.100}") from error
