"""A model by the place where it lies: a file, a run, a folder, or weights that somebody has published."""

from pathlib import Path

from fedvsr.models import build_model, names, settings_of
from fedvsr.runs import runs_in
from fedvsr_core.checkpoints.official import Published, convert_weights, read_published
from fedvsr_core.checkpoints.store import load_model as load_file
from fedvsr_core.components import nearest
from fedvsr_core.errors import CheckpointError, ConfigurationError, DataError
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.models.size import without_memory
from server_app.checkpoints import BEST, LAST
from server_app.config import compose
from server_app.records.journal import COMPLETED
from server_app.records.run_dir import RunDir

_SUFFIX = ".safetensors"


def load_model(where: str | Path | None = None) -> VideoModel:
    """Load a model of this project, on the CPU and in evaluation mode.

    Args:
        where: A model file; a run by its directory, or by its name in the folder of runs; a folder with one
            model file; a folder of runs. None: the folder of runs, ``FEDVSR_RUNS`` or ``~/fedvsr-runs``.

    Raises:
        DataError: If there is no model.
        CheckpointError: If its file is damaged, or holds weights of somebody else: see `load_pretrained`.
        ConfigurationError: If this version of the project doesn't have the model.
    """
    return load_file(model_file(where))


def model_file(where: str | Path | None = None) -> Path:
    """Find a model file.

    A run has the best model that it scored, or its last if none was scored; of a folder of runs, the newest
    completed one is taken.

    Args:
        where: As for `load_model`.

    Raises:
        DataError: If there is none, or a folder has several.
    """
    root = Path(compose({}).run.root).expanduser()
    path = root if where is None else Path(where).expanduser()
    if not path.exists() and (root / path).exists():
        path = root / path
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"there is no model file, run or folder '{path}'; 'fedvsr runs' lists the runs")
    if RunDir(path).journal.is_file():
        return _of_run(RunDir(path))
    files = sorted(path.glob(f"*{_SUFFIX}"))
    if len(files) > 1:
        named = ", ".join(file.name for file in files[:5])
        raise DataError(f"'{path}' must hold one model file, got {len(files)}: {named}; name one of them")
    if files:
        return files[0]
    runs = [run for run in runs_in(path) if run.state == COMPLETED]
    if not runs:
        raise DataError(
            f"there is no completed run in '{path}', and no model file; name a model file or a run"
        )
    return _of_run(RunDir(max(runs, key=lambda run: run.started).path))


def load_pretrained(path: str | Path, name: str | None = None) -> VideoModel:
    """Load weights that somebody has published, on the CPU and in evaluation mode.

    Read are files of BasicSR, mmediting and mmagic, of data-parallel training, and bare state dicts. No code
    that may be in them is run.

    Args:
        path: A file of ``torch.save`` (``.pth``), or of safetensors.
        name: The network, of `fedvsr.models.names`; None: the one whose names and shapes of weights are those
            of the file.

    Raises:
        CheckpointError: If the file is damaged, or its weights fit no network; lists the names that don't.
        ConfigurationError: If there is no such network.
    """
    file = Path(path).expanduser()
    published = read_published(file)
    if name is not None and name not in (known := names()):
        raise ConfigurationError(f"there is no model '{name}'{nearest(name, known)}")
    network = build_model(name or _recognised(published, file))
    try:
        state = convert_weights(published.state, network.state_dict(), network.rename_official)
    except CheckpointError as error:
        raise CheckpointError(f"'{file}': {error}") from error
    network.load_state_dict(state)
    return network


def _of_run(run: RunDir) -> Path:
    for name in (BEST, LAST):
        if (run.checkpoints / name).is_file():
            return run.checkpoints / name
    raise DataError(f"the run '{run.path}' has no model yet; wait for its first round, or name another")


def _recognised(published: Published, file: Path) -> str:
    """The network that has exactly these weights."""
    shapes = {name: tensor.shape for name, tensor in published.state.items()}
    fits, near = [], {}
    for candidate in names():
        network = without_memory(settings_of(candidate))
        rename = getattr(network, "rename_official", str)
        theirs = {rename(name): shape for name, shape in shapes.items()}
        own = {name: tensor.shape for name, tensor in network.state_dict().items()}
        if theirs == own:
            fits.append(candidate)
        near[candidate] = len(theirs.items() & own.items()) / max(len(own), len(theirs))
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise CheckpointError(f"'{file}' fits {', '.join(fits)}; say which by name")
    likely = max(near, key=lambda candidate: near[candidate])
    raise CheckpointError(
        f"'{file}' has the weights of none of {', '.join(names())}; {near[likely]:.0%} of them are those of"
        f" '{likely}': load_pretrained(path, name='{likely}') lists which aren't"
    )
