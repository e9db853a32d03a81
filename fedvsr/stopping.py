"""The end of a run that somebody stops: nothing of it keeps running, and its journal says who stopped it."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from fedvsr import engine
from fedvsr_core.errors import ConfigurationError, FedVSRError
from fedvsr_core.json_text import parse_json
from server_app.records.history import outcome, starts
from server_app.records.journal import Journal, read_journal
from server_app.records.run_dir import RunDir, run_dirs, run_root

_RELEASE_S = 30.0
"""How long the process of a stopped run may still hold its directory."""


def end_run(run_id: str, superlink: str, directory: str, why: str, *, at_once: bool = False) -> str:
    """End a run, and write its last word; returns its directory, or an empty text if it has none here.

    Args:
        run_id: The run.
        superlink: As for `fedvsr.engine.submit`.
        directory: Its run directory, or empty if nobody knows it yet.
        why: The last word, such as ``stopped by SIGTERM``.
        at_once: As for `fedvsr.engine.end_run`.
    """
    run = RunDir(Path(directory)) if directory else _running(run_id)
    server = run.writer() if run else None
    engine.end_run(run_id, superlink, server, at_once=at_once)
    if run and run.journal.is_file():
        with suppress(FedVSRError), run.locked(0 if at_once else _RELEASE_S):
            lines = read_journal(run.journal)
            if outcome(lines) is None and starts(lines):
                with Journal(run.journal) as journal:
                    began = datetime.fromisoformat(starts(lines)[-1]["time"])
                    seconds = (datetime.now(UTC) - began).total_seconds()
                    journal.append({"phase": "end", "seconds": seconds, "outcome": why})
    return str(run.path) if run else ""


def stop_named(name: str, superlink: str = "") -> str:
    """End a run that a person names, and say what was done.

    Args:
        name: Its directory, that directory's name in the folder of runs, or Flower's id.
        superlink: As for `fedvsr.engine.submit`.

    Raises:
        ConfigurationError: If there is no such run, or it isn't running.
    """
    run = next((RunDir(path) for path in (Path(name).expanduser(), run_root() / name) if path.is_dir()), None)
    if run is None and name.isdecimal():
        end_run(name, superlink, "", "stopped by 'fedvsr stop'")
        return f"stopped run {name}"
    if run is None:
        raise ConfigurationError(
            f"there is no run '{name}' here or in '{run_root()}'; 'fedvsr runs' lists them"
        )
    if not run.is_locked():
        raise ConfigurationError(f"'{run.path}' isn't running; 'fedvsr runs' says what has become of it")
    end_run(_id_of(run), superlink, str(run.path.absolute()), "stopped by 'fedvsr stop'")
    return f"stopped '{run.path}'"


def _running(run_id: str) -> RunDir | None:
    """The run of an id, if it is running and has a directory in the folder of runs."""
    for run in reversed(run_dirs(run_root())):
        with suppress(ConfigurationError):
            if run.is_locked() and _id_of(run) == run_id:
                return run
    return None


def _id_of(run: RunDir) -> str:
    try:
        return str(parse_json(run.provenance.read_bytes())["run-id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"'{run.provenance}' must name Flower's run, but can't be read ({error!r}); 'flwr ls' has its id"
        ) from error
