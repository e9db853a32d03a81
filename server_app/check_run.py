"""``python -m server_app.check_run``: whether a run-config can be run, said by the code that would run it.

Whoever submits a run asks this first, in a process of its own whose working folder is the app's: what is
wrong then costs a moment, not an engine and a run. Reads the run-config from standard input and writes what
it is or what is wrong with it to standard output, both as JSON.
"""

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, FedVSRError, StorageError
from server_app.records.history import starts
from server_app.records.journal import read_journal
from server_app.records.run_dir import RunDir
from server_app.resume import settings_of_run
from server_app.secure_check import check_secure
from server_app.strategies.stock import adapted


def check(app: Path, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Compose a run-config, and see what of this machine the run needs.

    Args:
        app: The app's folder, whose ``pyproject.toml`` has the values of keys that aren't given.
        run_config: As given.

    Returns:
        ``resumes``, the absolute run directory that it continues or None, and ``clients``, how many the run
        had if it is one of this machine's simulation, else None.

    Raises:
        FedVSRError: If it can't be run.
    """
    project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
    defaults = project["tool"]["flwr"]["app"].get("config", {})
    settings, _ = settings_of_run({**defaults, **run_config})
    check_secure(settings, adapted(build(settings.strategy.server, num_rounds=settings.rounds)))
    if settings.run.resume is None:
        _check_folders("data", settings.data)
        _check_root(Path(settings.run.root).expanduser())
        return {"resumes": None, "clients": None}
    run = RunDir.open(settings.run.resume)
    names: list[str] = next((line["names"] for line in reversed(starts(read_journal(run.journal)))), [])
    simulated = names and all(name.startswith("partition-") for name in names)
    return {"resumes": str(run.path), "clients": len(names) if simulated else None}


def _check_folders(key: str, value: Any) -> None:  # noqa: ANN401 (any value of a yaml)
    """Refuse folders of data that depend on where the server was started."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_folders(f"{key}.{name}", inner)
    elif isinstance(value, str) and key.endswith("folder") and not Path(value).expanduser().is_absolute():
        raise ConfigurationError(
            f"{key} must be an absolute path, got '{value}'; the server may start in any folder,"
            " so write the path from / on"
        )


def _check_root(root: Path) -> None:
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir():
        raise ConfigurationError(f"run.root must be a folder, but '{there}' is a file; choose another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(
            f"runs are written below '{root}', but '{there}' may not be written to; set FEDVSR_RUNS or"
            " run.root to another folder"
        )


def main() -> None:
    """Answer one question."""
    try:
        answer = check(Path.cwd(), json.load(sys.stdin))
    except FedVSRError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
