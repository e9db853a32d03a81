"""A run-config as it is written on a command line."""

from typing import Any

import click
from flwr.common.config import parse_config_args

from fedvsr_core.errors import ConfigurationError


def parse_run_config(words: str) -> dict[str, Any]:
    """Read a run-config as ``flwr run --run-config`` does.

    Args:
        words: ``key="value"`` pairs separated by blanks, or the path of a TOML file.

    Raises:
        ConfigurationError: If it can't be read.
    """
    try:
        return dict(parse_config_args([words] if words else None))
    except (ValueError, OSError, click.ClickException) as error:
        raise ConfigurationError(
            f"""run-config must be written as key="value" pairs separated by blanks, got {words}"""
        ) from error
