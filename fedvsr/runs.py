"""What has become of each run in a folder of runs, read from what they left."""

from dataclasses import dataclass
from pathlib import Path

from fedvsr_core.errors import CheckpointError
from server_app.records.history import Evaluation, best_evaluation, outcome, rounds_done, starts
from server_app.records.journal import COMPLETED, Line, read_checked
from server_app.records.run_dir import LAST, RunDir, run_dirs


@dataclass(frozen=True)
class RunState:
    """One run at a glance.

    Attributes:
        path: Its directory.
        state: ``running``, ``completed``, ``failed`` (it ended by itself), ``stopped`` (somebody ended it),
            ``killed`` (it had no time to say so) or ``damaged`` (its journal can't be read).
        reason: Why, if it isn't running or completed; else empty.
        resumable: Whether it can go on where it stopped.
        started: When, in UTC as ISO 8601, or empty.
        strategy: By its name, or empty.
        model: By its name, or empty.
        done: Rounds done.
        rounds: Rounds asked for, None if the run never came so far as to say.
        best: Its best scores on held-out video, None if it has none.
    """

    path: Path
    state: str
    reason: str = ""
    resumable: bool = False
    started: str = ""
    strategy: str = ""
    model: str = ""
    done: int = 0
    rounds: int | None = None
    best: Evaluation | None = None


def runs_in(root: Path) -> list[RunState]:
    """All runs of a folder, the latest last."""
    return [state_of(run) for run in run_dirs(root)]


def state_of(run: RunDir) -> RunState:
    """What has become of one run."""
    running = run.is_locked()  # before its journal is read: it may end in between
    try:
        lines = read_checked(run.journal)
    except CheckpointError as error:
        return RunState(run.path, "damaged", str(error))
    start = next(iter(starts(lines)), {})
    state, reason = _ended(lines, running=running)
    return RunState(
        path=run.path,
        state=state,
        reason=reason,
        resumable=state in ("failed", "stopped", "killed") and (run.checkpoints / LAST).is_file(),
        started=str(start.get("time", "")),
        strategy=str(start.get("strategy", "")),
        model=str(start.get("model", "")),
        done=rounds_done(lines),
        rounds=start.get("rounds"),
        best=best_evaluation(lines),
    )


def _ended(lines: list[Line], *, running: bool) -> tuple[str, str]:
    if running:
        return "running", ""
    ended = outcome(lines)
    if ended == COMPLETED:
        return COMPLETED, ""
    if ended is None:
        return "killed", "it left no last word"
    return ("stopped" if ended.startswith("stopped by ") else "failed"), ended
