"""The shape of a whole configuration, checked before anything starts."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Component = dict[str, Any]
"""``_target_`` and its arguments; see `fedvsr_core.components`."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Training(_Section):
    """What one client does in one round.

    Attributes:
        steps: Optimiser steps, unless there are epochs.
        epochs: Passes over the windows of a client's clips, each in an order of its own; None counts steps.
        batch: Windows a step.
        window: Frames of a window.
        patch: Height and width of the low-resolution crop, in pixels.
        clip_norm: Largest norm of the gradients of all that is trained, or None for no limit.
        upload: What it returns: ``weights``, or ``float16`` for their difference from the global model, in
            half the bytes.
        augment: How crops are turned at random: flipped, rotated by 90 degrees, reversed in time.
        checkpointing: Whether activations are forgotten, and computed again for the gradient.
        precision: Of the network: ``float32``, exact; ``tf32``, the same with products that are rounded and
            faster on GPUs that have them; ``bfloat16`` or ``float16``, where torch holds them safe,
            and TF32 elsewhere.
        compile: Whether ``torch.compile`` makes kernels for the network, anew in each process.
        micro_batch: Windows of a batch that are computed at once, their gradients added up; None: all.
        channels_last: Whether weights of convolutions lie in memory with their channels last.
        keep_moments: Whether a client's optimiser goes on from its moments of the last accepted round.
    """

    steps: int = Field(ge=1)
    epochs: float | None = Field(gt=0, default=None, allow_inf_nan=False)
    batch: int = Field(ge=1)
    window: int = Field(ge=1)
    patch: int = Field(ge=4)
    clip_norm: float | None = Field(gt=0)
    upload: Literal["weights", "float16"]
    augment: tuple[Literal["flips", "rotations", "reversal"], ...] = ("flips", "rotations", "reversal")
    checkpointing: bool = False
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    compile: bool = False
    micro_batch: int | None = Field(ge=1, default=None)
    channels_last: bool = False
    keep_moments: bool = False


class Weights(_Section):
    """A file of weights.

    Attributes:
        weights: Path, the same at every site, or URL; None for random weights, from the seed.
        sha256: The file's checksum, hexadecimal; a URL needs one.
    """

    weights: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")

    @model_validator(mode="after")
    def _can_be_checked(self) -> Self:
        if self.weights is None and self.sha256 is not None:
            raise ValueError("a sha256 needs the weights that it belongs to")
        if self.weights is not None and self.weights.lower().startswith("http") and self.sha256 is None:
            raise ValueError(f"'{self.weights}' is a URL and needs the sha256 of the file")
        return self


class Flow(Weights):
    """The parameters that a network calls late, such as its flow network's; without effect on other networks.

    Attributes:
        frozen_steps: Steps, counted over all rounds, in which they stay as they are.
        step_size: Their step size, in units of the optimiser's.
    """

    frozen_steps: int = Field(default=0, ge=0)
    step_size: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Privacy(_Section):
    """Differential privacy of what each client sends, by noise of its own; docs/privacy.md.

    Attributes:
        epsilon: Of one round; None for no privacy. A site's own configuration can ask for less.
        delta: Of one round.
        clipping_norm: Largest norm of an update; longer ones are shortened to it.
        least_epsilon: A site that says so may add the noise of this epsilon, beyond screening's bound on
            norms; None: that of ``epsilon``.
    """

    epsilon: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    delta: float = Field(default=1e-5, gt=0, lt=1)
    clipping_norm: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    least_epsilon: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.epsilon is not None and self.least_epsilon is not None and self.least_epsilon > self.epsilon:
            raise ValueError(
                f"least_epsilon is that of the most private site, and at most epsilon = {self.epsilon:g}, got"
                f" {self.least_epsilon:g}"
            )
        return self


class Secure(_Section):
    """Secure aggregation: the server sees sums over clients, and nothing of a single one; docs/privacy.md.

    Attributes:
        enabled: Whether rounds are secure.
        threshold: The share of a round's clients that must stay to its end.
        clip: Largest norm (L2) of an update; longer ones are shortened by the client.
        bits: Fewest bits after the binary point of what is added; where 32 bits don't hold them, 64 travel.
    """

    enabled: bool = False
    threshold: float = Field(default=0.6, gt=0.5, le=1)
    clip: float = Field(default=64.0, gt=0, allow_inf_nan=False)
    bits: int = Field(default=16, ge=8, le=40)


class Cohort(_Section):
    """Who takes part in a round.

    Attributes:
        clients_per_round: Clients drawn for each round, or None for all.
        nodes: Nodes to wait for before the first round; None: as many as the simulation has, or two.
        wait_s: Seconds to wait for them.
        timeout_s: Seconds to wait for the replies of a round; None: as `server_app.deadline` derives them.
        link_mbit: The slowest link to a site to be expected, in Mbit/s; for that.
        deadline_factor: Longest work of a client, in units of the longest seen so far; for that.
        min_replies: Sound replies that a round needs to change the model.
        upload_failure: Probability that a client trains and its upload is lost, drawn from (seed, round,
            client); to study how strategies bear it.
    """

    clients_per_round: int | None = Field(ge=1)
    nodes: int | None = Field(ge=1)
    wait_s: float = Field(gt=0)
    timeout_s: float | None = Field(gt=0, allow_inf_nan=False)
    link_mbit: float = Field(default=10.0, gt=0)
    deadline_factor: float = Field(default=10.0, ge=1, allow_inf_nan=False)
    min_replies: int = Field(ge=1)
    upload_failure: float = Field(default=0.0, ge=0, lt=1)


class Screening(_Section):
    """Which replies may not enter the model, beside those that don't fit it, and how much of the others does.

    Attributes:
        clip: Norm of an update in units of the lower median of its round, beyond which it is shortened; None
            for no bound, as for all that follow.
        norm_factor: The same, beyond which it is refused.
        opposed: Median cosine of the angles between an update and each other one, below which it is refused.
        agreement: The same in units of the lower median of these medians, where that is above zero.
        examples_factor: How often the lower median of the numbers of examples a client counts at most.
        roll_back: Fall of the headline PSNR below the best so far, in dB, from which on the model of a round
            is given up for the best one; None for never.
        max_loss: Largest loss that a client may report.
        max_examples: Most examples that a client may report.
    """

    clip: float | None = Field(default=None, ge=1)
    norm_factor: float | None = Field(default=None, ge=1)
    opposed: float | None = Field(default=None, ge=-1, lt=1)
    agreement: float | None = Field(default=None, ge=0, lt=1)
    examples_factor: float | None = Field(default=None, ge=1)
    roll_back: float | None = Field(default=None, gt=0)
    max_loss: float = Field(gt=0)
    max_examples: int = Field(ge=1)


class Evaluation(_Section):
    """When the global model is scored on held-out clips.

    Attributes:
        every: Rounds from one evaluation to the next; the last round is always scored.
        chunk: Frames that the network sees at once.
        metrics: Metrics beside those of the protocol, by the names of `fedvsr_core.metrics.names`.
        all_metrics: When the server measures all of them, and not the protocol's first one alone: ``ends``,
            before the first round and after the last, or ``always``.
        clients: Rounds from one evaluation on the clients' own held-out clips to the next, or None for never;
            the last round is then scored, too.
        patience: Scorings in a row without a better headline after which the run ends, or None for never.
        select: The metric that chooses the best checkpoint, or ``clients-mean`` or ``clients-worst`` for the
            headline on the clients' own clips; None: the headline on the server's.
        ema: What an exponential moving average of the global model keeps of itself in a round; it is scored
            in the place of the model, which training goes on from. None: the model itself is scored.
    """

    every: int = Field(ge=1)
    chunk: int = Field(ge=1)
    metrics: tuple[str, ...]
    all_metrics: Literal["ends", "always"] = "ends"
    clients: int | None = Field(ge=1)
    patience: int | None = Field(default=None, ge=1)
    select: str | None = None
    ema: float | None = Field(default=None, gt=0, lt=1)


class Prepare(_Section):
    """How ``fedvsr data prepare`` cuts clips.

    Attributes:
        shot_threshold: Mean difference of hue, saturation and value, of 255, at which a new shot begins; None
            leaves clips whole.
        duplicate_threshold: Mean difference of luma from the frame before, of 255, below which a frame is
            left out as its near duplicate; 0 keeps every frame.
        min_frames: Shots with fewer frames are left out.
    """

    shot_threshold: float | None = Field(gt=0)
    duplicate_threshold: float = Field(ge=0)
    min_frames: int = Field(ge=1)


class Run(_Section):
    """Where a run writes.

    Attributes:
        root: Absolute folder that holds the run directories.
        resume: Absolute run directory to continue, or None.
        command: The command as it was typed, or empty.
        keep: Checkpoints of single rounds to keep, beside the last and the best.
    """

    root: str
    resume: str | None
    command: str = ""
    keep: int = Field(ge=0)

    @field_validator("root", "resume")
    @classmethod
    def _is_absolute(cls, path: str | None) -> str | None:
        # Flower starts the server in whatever folder its engine was started in.
        if path is not None and not Path(path).expanduser().is_absolute():
            raise ValueError(f"must be an absolute path, got '{path}'")
        return path


class Pool(_Section):
    """One simulated client in the place of several, as the bounds of a comparison have it.

    Attributes:
        clients: How many it stands for: the clips are divided among so many. None: every client for itself.
        parts: Which of the parts it has; all of them if empty.
    """

    clients: int | None = Field(ge=1, default=None)
    parts: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _are_there(self) -> Self:
        if beyond := [part for part in self.parts if not 0 <= part < (self.clients or 0)]:
            raise ValueError(f"parts are counted from 0 to below clients = {self.clients}, got {beyond[0]}")
        return self


class Strategy(_Section):
    """The two halves of a federated algorithm."""

    server: Component
    client: Component


class _Shared(_Section):
    """What the server and its clients know."""

    seed: int = Field(ge=0)
    rounds: int = Field(ge=1)
    model: Component
    start: Weights = Weights()
    flow: Flow = Flow()
    loss: Component
    optimiser: Component
    schedule: Component = {"_target_": "fedvsr_core.schedules.Constant"}
    data: Component
    degradation: Component
    partition: Component
    pool: Pool = Pool()
    protocol: Component
    training: Training
    privacy: Privacy = Privacy()
    secure: Secure = Secure()
    evaluation: Evaluation
    names: dict[str, str]


class ClientSettings(_Shared):
    """What a client needs to know."""

    objective: Component


class Settings(_Shared):
    """A whole configuration.

    Attributes:
        strategy: Both halves of the algorithm.
        cohort: Who takes part in a round.
        screening: Which replies stay out.
        prepare: How clips are cut.
        run: Where it writes.
        tracking: Trackers that the server tells of the run, beside its journal.
    """

    strategy: Strategy
    cohort: Cohort
    screening: Screening
    prepare: Prepare
    run: Run
    tracking: tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...] = ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        drawn, needed = self.cohort.clients_per_round, self.cohort.min_replies
        if drawn is not None and needed > drawn:
            raise ValueError(f"cohort.min_replies is {needed}, but only {drawn} clients take part in a round")
        return self

    def for_clients(self) -> ClientSettings:
        """The part that is sent to clients: nothing of `Run`, so no path but those of a simulated dataset."""
        shared = {name: getattr(self, name) for name in _Shared.model_fields}
        return ClientSettings(**shared, objective=self.strategy.client)
