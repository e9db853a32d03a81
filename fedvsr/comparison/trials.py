"""The trials of a comparison: one run for each entry and seed, each in a folder of its own."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedvsr.comparison.entries import BOUNDS, Entry
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.json_text import parse_json
from fedvsr_core.settings import Settings
from server_app.records.history import outcome, rounds_done
from server_app.records.journal import COMPLETED, Line, read_journal
from server_app.records.run_dir import RunDir, run_dirs
from server_app.written import flower_words, overrides


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        strategies: Names of ``conf/strategy``, and `BOUNDS`.
        seeds: Of all randomness.
        choices: Further run-config keys, such as ``experiment``.
        overrides: As for a single run.
        clients: Simulated clients.
        federation: Further federation configuration.
        variants: Overrides that every strategy is trained with in turn; none: only those of all.
        tune: A key and its values, as in ``optimiser.lr=1e-3,2e-3``; empty: nothing is tuned.
        tune_seeds: The seeds for that.
    """

    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    choices: Mapping[str, str]
    overrides: str
    clients: int
    federation: str
    variants: tuple[str, ...] = ()
    tune: str = ""
    tune_seeds: tuple[int, ...] = ()

    @property
    def reference(self) -> str:
        """The row that the others are compared with: FedAvg's, else that of the first strategy."""
        named = [name for name in self.strategies if name not in BOUNDS] or list(self.strategies)
        name = "fedavg" if "fedavg" in named else named[0]
        return f"{name} ({self.variants[0]})" if self.variants else name

    def claim(self, folder: Path, entries: Iterable[Entry], composed: Callable[["Trial"], Settings]) -> None:
        """Make the folder this plan's, or go on with what is there.

        Args:
            folder: The folder.
            entries: What is trained.
            composed: The configuration of a trial.

        Raises:
            ConfigurationError: If the folder holds another comparison, but for more strategies or seeds.
        """
        path, ours = folder / "plan.json", json.loads(json.dumps(asdict(self)))
        ours["settings"] = {entry.name: _digest(composed(Trial(entry, 0, folder))) for entry in entries}
        if path.exists():
            same = ("choices", "overrides", "clients", "federation", "variants", "tune", "tune_seeds")
            theirs = _plan_of_earlier(path, same)
            if differing := [key for key in same if ours[key] != theirs.get(key)]:
                raise ConfigurationError(
                    f"'{folder}' holds a comparison with other {', '.join(differing)}"
                    f" ({', '.join(f'{theirs.get(key)!r}' for key in differing)}); choose another --output"
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
        entry: What is trained.
        seed: Its seed.
        root: Where its run directory is.
    """

    entry: Entry
    seed: int
    root: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.entry.name}, seed {self.seed}"

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
            return flower_words({"overrides": overrides({"run.resume": str(run.path)})})
        return flower_words(self.words(plan))

    def federation_config(self, plan: Plan) -> str:
        """As for ``flwr run``."""
        return f"num-supernodes={self.entry.clients} {plan.federation}".strip()

    def words(self, plan: Plan) -> dict[str, str]:
        """The run-config that starts it, by key."""
        own = overrides({"run.root": str(self.root)}, f"seed={self.seed}")
        words = (own, plan.overrides, self.entry.overrides)
        return {**plan.choices, "strategy": self.entry.strategy, "overrides": " ".join(filter(None, words))}

    def check(self, settings: Settings) -> None:
        """See whether what its `words` are composed to is still this trial.

        Raises:
            ConfigurationError: If not.
        """
        composed = settings.names["strategy"], settings.seed, settings.run.root, settings.run.resume
        if composed != (self.entry.strategy, self.seed, str(self.root), None):
            raise ConfigurationError(
                "--overrides and --variants must leave strategy, seed, run.root and run.resume to the"
                f" comparison, but make of '{self.name}' {composed}"
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


def trials_of(entries: Iterable[Entry], seeds: Iterable[int], folder: Path) -> Iterator[Trial]:
    """All trials, seed by seed, so that an early stop leaves whole comparisons.

    Args:
        entries: What is trained.
        seeds: With which seeds.
        folder: Where each gets a folder.
    """
    entries = list(entries)
    for seed in seeds:
        for entry in entries:
            yield Trial(entry, seed, folder / f"{_as_path(f'{entry.name} {entry.chosen}')}-seed{seed}")


def completed(trials: Iterable[Trial]) -> dict[Entry, dict[int, Trial]]:
    """Completed trials by entry and seed; entries without any are left out."""
    trials = list(trials)
    groups = {
        entry: {
            trial.seed: trial
            for trial in sorted(trials, key=lambda trial: trial.seed)
            if trial.entry == entry and trial.completed
        }
        for entry in dict.fromkeys(trial.entry for trial in trials)
    }
    return {entry: group for entry, group in groups.items() if group}


def _as_path(name: str) -> str:
    """A name of letters, digits and few others, since it travels in Flower's run-config."""
    return re.sub(r"[^\w.+-]+", "_", name, flags=re.ASCII).strip("_")
