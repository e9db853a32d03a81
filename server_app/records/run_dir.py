"""The directory of one run, and the names of everything in it."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from secrets import token_hex

from fedvsr_core.checkpoints.atomic import storing
from fedvsr_core.errors import ConfigurationError
from server_app.records.lock import is_locked, locked, writer

LAST = "last.safetensors"
BEST = "best.safetensors"
"""Names of checkpoints; `server_app.checkpoints` writes them."""
_ID = ".id"
ANNOUNCED = "run directory: "
"""How the log of a run names it."""


@dataclass(frozen=True)
class RunDir:
    """A run directory.

    Attributes:
        path: Its absolute path.
    """

    path: Path

    @classmethod
    def create(cls, root: str, labels: Sequence[str], now: datetime | None = None) -> "RunDir":
        """Make a new directory ``<root>/<UTC time>-<label>-<label>...``.

        Args:
            root: Absolute path of the folder that holds runs; made if missing.
            labels: What tells runs apart, such as strategy and model.
            now: The time in its name; None for now.

        Raises:
            ConfigurationError: If ``root`` isn't absolute or can't be made.
            StorageError: If its disk is full, or may not be written to.
        """
        stamp = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%d-%H%M%S")
        name = "-".join([stamp, *labels])
        parent = _absolute(root)
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the folder of runs '{root}' can't be made: {error.strerror}"
            ) from error
        for attempt in count(1):
            run = cls(parent / (name if attempt == 1 else f"{name}-{attempt}"))
            with storing(run.path):
                try:
                    run.path.mkdir()
                except FileExistsError:
                    continue  # another run started in the same second
                run.checkpoints.mkdir()
                (run.path / _ID).write_text(f"{run.path.name}-{token_hex(4)}")
            return run
        raise AssertionError("count() doesn't end")

    @classmethod
    def open(cls, path: str) -> "RunDir":
        """The directory of an earlier run.

        Raises:
            ConfigurationError: If ``path`` isn't absolute, or holds no run.
        """
        run = cls(_absolute(path))
        if not run.journal.is_file():
            raise ConfigurationError(
                f"a run directory has a {run.journal.name}, but there is none in '{path}'"
            )
        return run

    def identity(self) -> str:
        """What tells the run from all others, wherever its directory is moved."""
        file = self.path / _ID
        return file.read_text() if file.is_file() else self.path.name

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Versions, commit, device and whatever else made the numbers."""
        return self.path / "provenance.json"

    @property
    def journal(self) -> Path:
        """A line per phase and round."""
        return self.path / "journal.jsonl"

    @property
    def log(self) -> Path:
        """What the server said."""
        return self.path / "run.log"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints; see `server_app.checkpoints`."""
        return self.path / "checkpoints"

    @property
    def updates(self) -> Path:
        """What waits on disk during a round; see `server_app.spool`."""
        return self.path / "updates"

    @property
    def psnr_plot(self) -> Path:
        """PSNR against rounds."""
        return self.path / "psnr.png"

    @property
    def losses_plot(self) -> Path:
        """Losses of the clients against rounds."""
        return self.path / "losses.png"

    @property
    def weights_plot(self) -> Path:
        """Weight of each client against rounds."""
        return self.path / "weights.png"

    @property
    def crops(self) -> Path:
        """Held-out crops: bicubic, ours, ground truth."""
        return self.path / "crops.png"

    @property
    def summary(self) -> Path:
        """What happened, for a person."""
        return self.path / "summary.md"

    def locked(self, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Keep every other process from writing here; see `server_app.records.lock`."""
        return locked(self.path, wait_s)

    def writer(self) -> int | None:
        """The process that is writing here, None if there is none."""
        return writer(self.path)

    def is_locked(self) -> bool:
        """Whether a process is writing here."""
        return is_locked(self.path)


def run_root() -> Path:
    """The folder of runs where nobody names another, as ``conf/config.yaml`` has it."""
    return Path(os.environ.get("FEDVSR_RUNS", "~/fedvsr-runs")).expanduser()


def run_dirs(root: Path) -> list[RunDir]:
    """The runs of a folder that have a journal, the latest last; whatever else lies there is passed over."""
    return [RunDir(path) for path in sorted(root.glob("*")) if RunDir(path).journal.is_file()]


def _absolute(path: str) -> Path:
    full = Path(path).expanduser()
    if not full.is_absolute():
        raise ConfigurationError(
            f"the folder of runs must be an absolute path, got '{path}'; the server may start in any folder,"
            f" so write for example run.root={Path.home() / 'fedvsr-runs'}"
        )
    return full
