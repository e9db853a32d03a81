"""What a run is from round to round: it saves itself to a checkpoint and restores itself."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from fedvsr_core.checkpoints.store import check_fit
from fedvsr_core.errors import CheckpointError
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import Settings
from server_app.checkpoints import TrainingCheckpoint, load_round, save_round
from server_app.deadline import Deadline
from server_app.moving_average import MovingAverage, without_trained
from server_app.records.journal import Line
from server_app.strategies.aggregator import Aggregator

PHASES = ("train", "evaluate-clients")
"""What clients are asked for, by the journal's name of the phase."""


class RunState:
    """The parts of a run that change.

    All but the deadlines is in its checkpoints; these follow from the journal, since seconds aren't the same
    twice.

    Args:
        settings: The run's configuration.
        model: The global model; holds the weights of the latest round.
        strategy: Its server half.

    Attributes:
        model: As given.
        strategy: As given.
        last_accepted: The last round whose update entered the model, by client.
        deadlines: How long replies are waited for, by phase.
    """

    def __init__(self, settings: Settings, model: VideoModel, strategy: Aggregator) -> None:
        self._settings, self.model, self.strategy = settings, model, strategy
        self.last_accepted: dict[str, int] = {}
        self.deadlines = {phase: Deadline(settings) for phase in PHASES}
        self._average = MovingAverage(settings.evaluation.ema) if settings.evaluation.ema else None

    def accept(
        self, server_round: int, arrays: Iterable[tuple[str, np.ndarray]], clients: Iterable[str]
    ) -> None:
        """Take over the model of a round.

        Args:
            server_round: The round.
            arrays: Name and values of each array that is new.
            clients: Whose updates entered it.
        """
        own = self.model.state_dict()
        new = {
            name: torch.from_numpy(np.require(values, requirements="W")).to(own[name].dtype)
            for name, values in arrays
        }
        self.model.load_state_dict(own | new)
        if self._average is not None:
            self._average.update(self.model.state_dict())
        self.last_accepted |= dict.fromkeys(clients, server_round)

    @contextmanager
    def scored(self) -> Iterator[VideoModel]:
        """The model that is scored and published: the trained one, or its moving average."""
        if self._average is None:
            yield self.model
        else:
            with self._average.in_place_of(self.model):
                yield self.model

    def save(self, folder: Path, server_round: int, score: float | None) -> None:
        """Write the checkpoint of a round.

        Args:
            folder: The run's folder of checkpoints.
            server_round: Rounds done so far.
            score: The model's, higher is better; None if it wasn't scored.
        """
        trained = self._average.trained(self.model) if self._average else {}
        with self.scored() as model:
            checkpoint = TrainingCheckpoint(
                round=server_round,
                state=model.state_dict(),
                model_settings=self._settings.model,
                strategy_state={**self.strategy.state(), **trained},
                history={"counted": self.last_accepted},
                score=score,
            )
            save_round(folder, checkpoint, keep=self._settings.run.keep)

    def restore(self, path: Path) -> TrainingCheckpoint | None:
        """Go back to a checkpoint; returns it, or None if there is none.

        Raises:
            CheckpointError: If it is damaged, or another run's.
        """
        if not path.exists():
            return None
        checkpoint = load_round(path)
        try:
            check_fit(checkpoint.state, self.model.state_dict())
            self.model.load_state_dict(dict(checkpoint.state))
            self.strategy.load_state(without_trained(checkpoint.strategy_state))
            if self._average is not None:
                self._average.restore(self.model, checkpoint.strategy_state)
            self.last_accepted = dict(checkpoint.history["counted"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"'{path}' isn't of this run: {error!r}") from error
        return checkpoint

    def go_back(self, path: Path) -> None:
        """Take the model of an earlier checkpoint, but not what clients and strategy remember of each other.

        Clients keep what they had in their last accepted round, and no earlier one; a variate on the server
        is the mean of theirs.

        Raises:
            CheckpointError: As `restore`.
        """
        accepted, remembered = self.last_accepted, self.strategy.state()
        self.restore(path)
        self.last_accepted = accepted
        if self.strategy.extra:
            self.strategy.load_state(remembered)

    def learn_deadlines(self, lines: Sequence[Line]) -> None:
        """Take note of how long the replies of earlier rounds took, from the journal."""
        for line in lines:
            if line["phase"] in PHASES:
                self.deadlines[line["phase"]].learn([line, *line["clients"]])
