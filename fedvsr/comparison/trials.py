"""The trials of a comparison: one run for each strategy and seed, each in a folder of its own."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.json_text import parse_json
from fedvsr_core.settings import Settings
from server_app.records.history import outcome, rounds_done
from server_app.records.journal import COMPLETED, Line, read_journal
from server_app.records.run_dir import RunDir, run_dirs


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        strategies: Names of ``conf/strategy``; the first, or fedavg if it is among them, is the reference.
        seeds: Of all randomness.
        choices: Further run-config keys, such as ``experiment``.
        overrides: As for a single run.
        clients: Simulated clients.
        federation: Further federation configuration.
    """

    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    choices: Mapping[str, str]
    overrides: str
    clients: int
    federation: str

    @property
    def reference(self) -> str:
        """What the others are compared with."""
        return "fedavg" if "fedavg" in self.strategies else self.strategies[0]

    def claim(self, folder: Path, composed: Callable[["Trial"], Settings]) -> None:
        """Make the folder this plan's, or go on with what is there.

        Args:
            folder: The folder.
            composed: The configuration of a trial.

        Raises:
            ConfigurationError: If the folder holds another comparison, but for more strategies or seeds.
        """
        path, ours = folder / "plan.json", json.loads(json.dumps(asdict(self)))
        ours["settings"] = {name: _digest(composed(Trial(name, 0, folder))) for name in self.strategies}
        if path.exists():
            same = ("choices", "overrides", "clients", "federation")
            theirs = _plan_of_earlier(path, same)
            if differing := [key for key in same if ours[key] != theirs[key]]:
                raise ConfigurationError(
                    f"'{folder}' holds a comparison with other {', '.join(differing)}"
                    f" ({', '.join(f'{theirs[key]!r}' for key in differing)}); choose another --output"
                )
            before = theirs.get("settings", {})
            ours["settings"] = before | ours["settings"]
            if changed := [name for name in before if before[name] != ours["settings"][name]]:
                raise ConfigurationError(
                    f"the configuration of {', '.join(changed)} has changed since the comparison in"
                    f" '{folder}' began; undo that, or choose another --output"
                )
        write_atomically(path, json.dumps(ours, indent=2).encode())


@dataclass(frozen=True)
class Trial:
    """One run of a comparison.

    Attributes:
        strategy: Its strategy.
        seed: Its seed.
        root: Where its run directory is.
    """

    strategy: str
    seed: int
    root: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.strategy}, seed {self.seed}"

    def run(self) -> RunDir | None:
        """Its newest run directory that has a journal."""
        runs = run_dirs(self.root)
        return runs[-1] if runs else None

    def lines(self) -> list[Line]:
        """Its journal; empty before there is one."""
        run = self.run()
        return read_journal(run.journal) if run else []

    @property
    def outcome(self) -> str:
        """``completed``, why it ended, or that it hasn't."""
        return outcome(self.lines()) or "not at its end"

    @property
    def completed(self) -> bool:
        """Whether it came to its end."""
        return outcome(self.lines()) == COMPLETED

    @property
    def rounds(self) -> int:
        """Rounds that it has trained."""
        return rounds_done(self.lines())

    def run_config(self, plan: Plan) -> str:
        """As for ``flwr run``: to start, or to continue what is there."""
        if run := self.run():
            resume = f"'run.resume={run.path}'"
            return f"overrides={json.dumps(resume)}"
        return " ".join(f"{key}={json.dumps(value)}" for key, value in self.words(plan).items() if value)

    def words(self, plan: Plan) -> dict[str, str]:
        """The run-config that starts it, by key."""
        overrides = f"seed={self.seed} 'run.root={self.root}' {plan.overrides}".strip()
        return {**plan.choices, "strategy": self.strategy, "overrides": overrides}

    def check(self, settings: Settings) -> None:
        """See whether what its `words` are composed to is still this trial.

        Raises:
            ConfigurationError: If not.
        """
        composed = settings.names["strategy"], settings.seed, settings.run.root, settings.run.resume
        if composed != (self.strategy, self.seed, str(self.root), None):
            raise ConfigurationError(
                "--overrides must leave strategy, seed, run.root and run.resume to the comparison,"
                f" but make of '{self.name}' {composed}"
            )


def _plan_of_earlier(path: Path, needed: Sequence[str]) -> dict[str, Any]:
    try:
        plan = parse_json(path.read_bytes())
        return {"settings": dict(plan.get("settings", {})), **{key: plan[key] for key in needed}}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"'{path}' can't be read as the plan of an earlier comparison ({error!r:.200}); remove it, or"
            " choose another --output"
        ) from error


def _digest(settings: Settings) -> str:
    """Of all but where the run is."""
    return sha256(settings.model_dump_json(exclude={"run"}).encode()).hexdigest()[:16]


def trials_of(plan: Plan, folder: Path) -> Iterator[Trial]:
    """All trials, seed by seed, so that an early stop leaves whole comparisons."""
    for seed in plan.seeds:
        for strategy in plan.strategies:
            yield Trial(strategy, seed, folder / "trials" / f"{strategy}-seed{seed}")


def by_strategy(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Completed trials by strategy, in the order of their seeds; strategies without any are left out."""
    completed = sorted((trial for trial in trials if trial.completed), key=lambda trial: trial.seed)
    strategies = dict.fromkeys(trial.strategy for trial in trials)
    groups = {name: [trial for trial in completed if trial.strategy == name] for name in strategies}
    return {name: group for name, group in groups.items() if group}
