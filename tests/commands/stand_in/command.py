"""``fedvsr`` with Flower's programs replaced by those beside this file."""

import sys
from pathlib import Path
from unittest import mock

from fedvsr import engine, local_engine
from fedvsr.cli.main import app

HERE = Path(__file__).parent


def flwr(*words):
    """What is started in the place of a command of Flower."""
    return [sys.executable, str(HERE / "flwr.py"), *filter(None, words)]


if __name__ == "__main__":
    program = str(HERE / "flower-superlink")
    with (
        mock.patch.object(local_engine.shutil, "which", return_value=program),
        mock.patch.object(local_engine, "flwr_command", flwr),
        mock.patch.object(engine, "flwr_command", flwr),
    ):
        app()
