"""What made the numbers: versions, code, device and the command, and nothing private about the host."""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch

from fedvsr_core.flower.code import PACKAGES as PACKAGES_THAT_TRAIN
from fedvsr_core.flower.code import code_digest, digest_of
from server_app.written import flower_words

PACKAGES = (
    "fedvsr",
    "flwr",
    "torch",
    "torchvision",
    "numpy",
    "av",
    "opencv-python-headless",
    "safetensors",
)


def provenance(
    *, run_id: int, run_config: Mapping[str, Any], typed: str = "", seed: int, device: str, code: str
) -> dict[str, Any]:
    """Collect what a reader needs to repeat a run.

    Host name, user, addresses and environment stay out. So does the process's own command line, in which
    Flower passes tokens: the command is what was typed, or is put together from the run-config.

    Args:
        run_id: Flower's, by which the run can be stopped.
        run_config: The run-config that Flower gave to the server.
        typed: The command as it was typed, or empty.
        seed: The run's seed.
        device: Where the server evaluates, such as ``cpu``.
        code: Digest of the code that runs.

    Returns:
        Plain JSON values.
    """
    return {
        "command": typed or command(run_config),
        "run-id": str(run_id),
        "run-config": dict(run_config),
        "seed": seed,
        "code": code,
        "commit": commit(),
        "versions": versions(),
        "device": device,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str | None]:
    """Of Python and `PACKAGES`; None where one isn't installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def command(run_config: Mapping[str, Any]) -> str:
    """The command that starts a run with this run-config; empty values are the default and left out."""
    given = flower_words(dict(sorted(run_config.items())))
    return shlex.join(["flwr", "run", ".", "--stream", *(["--run-config", given] if given else [])])


def commit() -> str | None:
    """The git commit of the code that runs, with ``+changes`` if files differ; None if it isn't in git.

    Flower runs a copy of the app. If the project is installed from a checkout, and the code is the same
    there, it is that checkout's commit.
    """
    for folder in filter(None, (Path(__file__).parent, _same_in_checkout())):
        # An installed copy may lie inside an unrelated repository, so ask whether git knows this very file.
        if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is not None:
            changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
            return f"{_git(folder, 'rev-parse', 'HEAD')}{'+changes' if changes else ''}"
    return None


def _same_in_checkout() -> Path | None:
    """This folder in the checkout that the project is installed from, if that holds the code that runs."""
    try:
        origin = json.loads(distribution("fedvsr").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return None
    root = Path(url2pathname(urlsplit(origin.get("url", "")).path))
    if "url" not in origin or digest_of(root / name for name in PACKAGES_THAT_TRAIN) != code_digest():
        return None
    return root / "server_app" / "records"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
