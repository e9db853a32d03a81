"""A run-config: as it is written on a command line, and whether an app would run it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedvsr_core.errors import ConfigurationError, FederationError

_CHECK = "server_app.check_run"


def parse_run_config(words: str) -> dict[str, Any]:
    """Read a run-config as ``flwr run --run-config`` does.

    Args:
        words: ``key="value"`` pairs separated by blanks, or the path of a TOML file.

    Raises:
        ConfigurationError: If it can't be read.
    """
    import click  # Flower's command line takes a second to import, and most commands need none
    from flwr.common.config import parse_config_args

    try:
        read = dict(parse_config_args([words] if words else None))
    except (ValueError, OSError, click.ClickException) as error:
        raise ConfigurationError(
            f"""run-config must be written as key="value" pairs separated by blanks, got {words}"""
        ) from error
    if words and not read:
        raise ConfigurationError(f"""run-config must hold key="value" pairs, got {words}""")
    return read


def check_run_config(app: Path, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Have an app compose and check a run-config by its own code, in a process of its own.

    Args:
        app: The app's folder.
        run_config: By key.

    Returns:
        As `server_app.check_run.check`; empty if it is an app without one.

    Raises:
        ConfigurationError: If the folder holds no app, or the app wouldn't run this; has all problems.
    """
    if not (app / "pyproject.toml").is_file():
        raise ConfigurationError(
            f"'{app}' must be the folder of an app, but has no pyproject.toml; name another"
        )
    if not (app / Path(*_CHECK.split("."))).with_suffix(".py").is_file():
        return {}
    asked = subprocess.run(
        [sys.executable, "-m", _CHECK],
        cwd=app,
        input=json.dumps(run_config),
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    try:
        answer = dict(json.loads(asked.stdout))
    except ValueError as error:
        raise FederationError(
            f"the app in '{app}' must be able to check a run-config, but ends: {asked.stderr.strip()}"
        ) from error
    if "error" in answer:
        raise ConfigurationError(answer["error"])
    return answer
