"""Choosing one value for each strategy, by the same rule for all, on seeds that the table doesn't use."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedvsr.comparison.entries import Entry
from fedvsr.comparison.seed_means import seed_mean
from fedvsr.comparison.tables import Rows
from fedvsr.comparison.trials import Trial, completed, trials_of
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import evaluations
from server_app.records.markdown import duration

_BUDGET = ("rounds", *(f"training.{name}" for name in ("steps", "epochs", "batch", "window", "patch")))
_SCORED_ONCE = "evaluation.every=1000000 evaluation.clients=null"


@dataclass(frozen=True)
class Tuning:
    """The values among which each strategy's best is chosen.

    Attributes:
        key: Of the configuration, such as ``optimiser.lr``.
        values: At least two.
        seeds: Whose mean decides.
    """

    key: str
    values: tuple[str, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, text: str, seeds: Sequence[int], taken: Sequence[int]) -> "Tuning":
        """Read ``key=value,value``.

        Args:
            text: That.
            seeds: For tuning.
            taken: Those of the table.

        Raises:
            ConfigurationError: If it is something else, or a seed is used twice.
        """
        key, _, values = text.partition("=")
        several = tuple(dict.fromkeys(filter(None, values.split(","))))
        if not key or len(several) < 2:
            raise ConfigurationError(
                f"--tune must be a key and two values or more, such as optimiser.lr=5e-4,1e-3, got '{text}'"
            )
        if key in _BUDGET:
            raise ConfigurationError(
                f"--tune must leave {key} alone: strategies are compared at equal budgets; --variants trains"
                " all of them with several"
            )
        if twice := sorted(set(seeds) & set(taken)):
            raise ConfigurationError(
                f"--tune-seeds must not be among --seeds, but {twice[0]} is: what is chosen on a seed looks"
                " better there than it is"
            )
        return cls(key, several, tuple(seeds))

    def trials(self, entries: Iterable[Entry], folder: Path) -> list[Trial]:
        """A trial for each entry, value and seed; none for local training: it takes the reference's value."""
        tried = [
            replace(
                entry.with_override(f"{_SCORED_ONCE} {self.key}={value}"),
                name=f"{entry.name} {value}",
                row=entry.row,
                tried=value,
            )
            for entry in entries
            if not entry.alone
            for value in self.values
        ]
        return list(trials_of(tried, self.seeds, folder))

    def choose(self, trials: Sequence[Trial]) -> dict[str, str]:
        """The value with the best mean over the seeds, by row; the first of equals.

        A value for which a trial failed isn't chosen; a row of which none is left is absent.
        """
        chosen: dict[str, str] = {}
        merits: dict[str, float] = {}
        for entry, seeds in completed(trials).items():
            merit = seed_mean([evaluations(trial.lines())[-1].merit for trial in seeds.values()]).mean
            if len(seeds) == len(self.seeds) and merit > merits.get(entry.row, -math.inf):
                chosen[entry.row], merits[entry.row] = entry.tried, merit
        return chosen

    def applied(self, entries: Iterable[Entry], trials: Sequence[Trial], reference: str) -> list[Entry]:
        """The entries with what was chosen for them; local training with what was for the reference.

        Those for which nothing could be chosen are left out.
        """
        chosen = self.choose(trials)
        overrides = {
            entry: f"{self.key}={chosen[reference if entry.alone else entry.row]}"
            for entry in entries
            if (reference if entry.alone else entry.row) in chosen
        }
        return [replace(entry.with_override(word), chosen=word) for entry, word in overrides.items()]

    def table(self, trials: Sequence[Trial]) -> Rows:
        """The final score of every value, the chosen one in bold."""
        chosen, done = self.choose(trials), completed(trials)
        rows = {trial.entry.row: [trial.entry.row] for trial in trials}
        for entry in dict.fromkeys(trial.entry for trial in trials):
            scores = [evaluations(trial.lines())[-1] for trial in done.get(entry, {}).values()]
            text = "failed"
            if len(scores) == len(self.seeds):
                headline = scores[0].headline
                text = seed_mean([each.mean[headline] for each in scores]).text(METRICS[headline].digits)
            rows[entry.row].append(f"**{text}**" if entry.tried == chosen.get(entry.row) else text)
        return ["strategy", *(f"{self.key}={value}" for value in self.values)], list(rows.values())

    def cost(self, trials: Sequence[Trial]) -> str:
        """How many trials, and how long they took together."""
        seconds = sum(line["seconds"] for trial in trials for line in trial.lines() if line["phase"] == "end")
        return f"{len(trials)} runs, {duration(seconds)}"
