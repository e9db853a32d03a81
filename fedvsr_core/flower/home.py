"""Where Flower keeps its state on this machine."""

import os
from pathlib import Path


def flower_home() -> Path:
    """Where Flower keeps its state: ``FLWR_HOME``, else ``~/.flwr``."""
    return Path(os.environ.get("FLWR_HOME", Path.home() / ".flwr"))
