"""Where numbers and pictures of a run can go: TensorBoard, MLflow, Weights & Biases, Trackio."""

import importlib
import os
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from fedvsr_core.data.clips import Frames
from fedvsr_core.errors import MissingToolError
from server_app.records.run_dir import RunDir
from server_app.tracking.numbers import tidy

PROJECT = "fedvsr"
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb", "trackio": "trackio"}
"""By tracker, the module that it needs."""


class Tracker(Protocol):
    """A run of a tracker; any of its methods may raise whatever the tracker's package does."""

    def numbers(self, server_round: int, values: Mapping[str, float]) -> None:
        """Take numbers of a round, by name."""

    def picture(self, server_round: int, name: str, pixels: Frames) -> None:
        """Take a picture of a round, (H, W, 3) RGB uint8."""

    def finish(self) -> None:
        """Send and close what is open."""


def check_installed(names: tuple[str, ...]) -> None:
    """See that the packages of trackers are here.

    Raises:
        MissingToolError: If one isn't.
    """
    missing = [name for name in names if find_spec(PACKAGES[name]) is None]
    if missing:
        extras = ",".join(missing)
        raise MissingToolError(
            f"tracking asks for {', '.join(missing)}, which isn't installed on the server:"
            f" pip install 'fedvsr[{extras}]', or leave it out of tracking"
        )


def tracker(name: str, run: RunDir, about: Mapping[str, Any]) -> Tracker:
    """Begin, or continue, the run of a tracker.

    Args:
        name: One of `PACKAGES`.
        run: Its directory; what a tracker keeps on this machine lies below, unless its own variables of the
            environment say otherwise.
        about: What the run is: its ``start`` line.
    """
    folder = run.path / "tracking" / name
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Callable[[RunDir, Path, Mapping[str, Any]], Tracker]] = {
        "tensorboard": _TensorBoard,
        "mlflow": _MLflow,
        "wandb": _WeightsAndBiases,
        "trackio": _Trackio,
    }
    return made[name](run, folder, about)


class _TensorBoard:
    def __init__(self, run: RunDir, folder: Path, about: Mapping[str, Any]) -> None:
        module = importlib.import_module("torch.utils.tensorboard")
        self._writer = module.SummaryWriter(str(folder))
        self._writer.add_text("run", "\n".join(f"    {key}: {value}" for key, value in _plain(about).items()))

    def numbers(self, server_round: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, server_round)
        self._writer.flush()

    def picture(self, server_round: int, name: str, pixels: Frames) -> None:
        self._writer.add_image(name, pixels, server_round, dataformats="HWC")
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()


class _MLflow:
    def __init__(self, run: RunDir, folder: Path, about: Mapping[str, Any]) -> None:
        mlflow = importlib.import_module("mlflow")
        self._entities = importlib.import_module("mlflow.entities")
        elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        address = elsewhere or f"sqlite:///{folder / 'mlflow.db'}"
        pictures = None if elsewhere else (folder / "artifacts").as_uri()  # without it, where the process is
        self._client = mlflow.MlflowClient(tracking_uri=address)
        experiment = self._client.get_experiment_by_name(PROJECT)
        number = experiment and experiment.experiment_id
        number = number or self._client.create_experiment(PROJECT, artifact_location=pictures)
        known = folder / "run-id"
        if known.is_file():
            self._run = known.read_text()
            self._client.update_run(self._run, status="RUNNING")
            return
        self._run = self._client.create_run(number, run_name=run.path.name).info.run_id
        known.write_text(self._run)
        parameters = [self._entities.Param(tidy(key), value[:500]) for key, value in _plain(about).items()]
        self._client.log_batch(self._run, params=parameters)

    def numbers(self, server_round: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(name, value, now, server_round) for name, value in values.items()]
        for first in range(0, len(metrics), 500):
            self._client.log_batch(self._run, metrics=metrics[first : first + 500])

    def picture(self, server_round: int, name: str, pixels: Frames) -> None:
        self._client.log_image(self._run, pixels, artifact_file=f"{name}/round-{server_round:05d}.png")

    def finish(self) -> None:
        self._client.set_terminated(self._run)


class _ByLog:
    """What the modules of Weights & Biases and of trackio, which follows it, have alike."""

    _module: Any
    _run: Any

    def numbers(self, server_round: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=server_round)

    def picture(self, server_round: int, name: str, pixels: Frames) -> None:
        self._run.log({name: self._module.Image(pixels)}, step=server_round)

    def finish(self) -> None:
        self._run.finish()


class _WeightsAndBiases(_ByLog):
    def __init__(self, run: RunDir, folder: Path, about: Mapping[str, Any]) -> None:
        self._module = importlib.import_module("wandb")
        self._run = self._module.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=tidy(run.identity()).replace("/", "_"),
            name=run.path.name,
            dir=str(folder),
            resume="allow",
            config=_plain(about),
            settings=self._module.Settings(console="off", silent=True),
        )


class _Trackio(_ByLog):
    def __init__(self, run: RunDir, folder: Path, about: Mapping[str, Any]) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(folder))
        self._module = importlib.import_module("trackio")
        self._run = self._module.init(
            project=PROJECT, name=run.path.name, resume="allow", config=_plain(about), embed=False
        )


def _plain(about: Mapping[str, Any]) -> dict[str, str]:
    """What a run is, as words; who takes part stays in the journal."""
    return {key: str(value) for key, value in about.items() if key not in ("names", "phase")}
