"""The cells of a comparison: one run for each strategy and seed, each in a folder of its own."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.settings import Settings
from server_app.records.journal import COMPLETED, Line, read_journal
from server_app.records.run_dir import RunDir


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
            composed: The configuration of a cell.

        Raises:
            ConfigurationError: If the folder holds another comparison, but for more strategies or seeds.
        """
        path, ours = folder / "plan.json", json.loads(json.dumps(asdict(self)))
        ours["settings"] = {name: _digest(composed(Trial(name, 0, folder))) for name in self.strategies}
        if path.exists():
            theirs = json.loads(path.read_text())
            same = ("choices", "overrides", "clients", "federation")
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
        found = sorted(path for path in self.root.glob("*") if (path / "journal.jsonl").exists())
        return RunDir(found[-1]) if found else None

    def lines(self) -> list[Line]:
        """Its journal; empty before there is one."""
        run = self.run()
        return read_journal(run.journal) if run else []

    @property
    def outcome(self) -> str:
        """``completed``, why it ended, or that it hasn't."""
        lines = self.lines()
        return str(lines[-1]["outcome"]) if lines and lines[-1]["phase"] == "end" else "not at its end"

    @property
    def rounds(self) -> int:
        """Rounds that it has trained."""
        return max((line["round"] for line in self.lines() if line["phase"] == "train"), default=0)

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
        """See whether what its `words` are composed to is still this cell.

        Raises:
            ConfigurationError: If not.
        """
        found = settings.names["strategy"], settings.seed, settings.run.root, settings.run.resume
        if found != (self.strategy, self.seed, str(self.root), None):
            raise ConfigurationError(
                "--overrides must leave strategy, seed, run.root and run.resume to the comparison,"
                f" but make of '{self.name}' {found}"
            )


def _digest(settings: Settings) -> str:
    """Of all but where the run is."""
    return sha256(settings.model_dump_json(exclude={"run"}).encode()).hexdigest()[:16]


def trials_of(plan: Plan, folder: Path) -> Iterator[Trial]:
    """All cells, seed by seed, so that an early stop leaves whole comparisons."""
    for seed in plan.seeds:
        for strategy in plan.strategies:
            yield Trial(strategy, seed, folder / "cells" / f"{strategy}-seed{seed}")


def by_strategy(cells: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Completed cells by strategy, in the order of their seeds."""
    found: dict[str, list[Trial]] = {}
    for cell in sorted(cells, key=lambda cell: cell.seed):
        if cell.outcome == COMPLETED:
            found.setdefault(cell.strategy, []).append(cell)
    return {name: found[name] for name in dict.fromkeys(cell.strategy for cell in cells) if name in found}
