"""The folder of a published model: weights, configuration, card, crops, checksums, nothing else of a run."""

import hashlib
import io
import json
from pathlib import Path

from PIL import Image

from fedvsr.publishing.model_card import WEIGHTS, is_medical, model_card
from fedvsr_core.checkpoints.atomic import storing, write_atomically
from fedvsr_core.checkpoints.store import ModelFile, encode, read
from fedvsr_core.errors import CheckpointError, DataError
from server_app.config import load
from server_app.records.crop_series import side_by_side
from server_app.records.journal import read_checked
from server_app.records.run_dir import RunDir

CONFIG, CARD, CROPS, SUMS = "config.json", "README.md", "crops.png", "SHA256SUMS"


def publish(
    run: RunDir, folder: Path, *, weights: str, licence: str, medical: bool = False, crops: bool | None = None
) -> list[Path]:
    """Write the folder.

    What the run keeps to go on, such as the strategy's arrays and the clients' names, isn't in it.

    Args:
        run: The run.
        folder: Empty or missing.
        weights: Name of a file in the run's folder of checkpoints.
        licence: Of the weights.
        medical: Whether the videos are medical, where ``data`` doesn't say so.
        crops: Whether held-out crops are shown, where the run has kept those of this model's round; None:
            unless the videos are medical.

    Returns:
        What was written.

    Raises:
        DataError: If the folder holds something.
        CheckpointError: If the run's files are missing or damaged.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"'{folder}' must be an empty folder, or not exist; choose another")
    file, lines, settings = read(run.checkpoints / weights), read_checked(run.journal), load(run.config)
    model = file.build()
    server_round = _round(file, run.checkpoints / weights)
    medical = medical or is_medical(settings)
    shown = side_by_side(run.crop_series, server_round) if (not medical if crops is None else crops) else None
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = model_card(
        lines,
        settings,
        server_round=server_round,
        parameters=parameters,
        scale=model.scale,
        licence=licence,
        medical=medical,
        crops=shown is not None,
    )
    config = {
        "library": "fedvsr",
        "weights": WEIGHTS,
        "model": file.settings,
        "scale": model.scale,
        "parameters": parameters,
        "round": server_round,
        "degradation": settings.degradation,
        "protocol": settings.protocol,
    }
    contents = {
        WEIGHTS: encode(file.state, file.settings, {"round": str(server_round)}),
        CONFIG: json.dumps(config, indent=2).encode() + b"\n",
        CARD: card.encode(),
    }
    if shown is not None:
        picture = io.BytesIO()
        Image.fromarray(shown).save(picture, "PNG")
        contents[CROPS] = picture.getvalue()
    for name, content in contents.items():
        write_atomically(folder / name, content)
    written = [folder / name for name in contents]
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in written)
    write_atomically(folder / SUMS, sums.encode())
    return [*written, folder / SUMS]


def weights_file(path: Path) -> Path:
    """The file of weights that a person means: the one named, or the one of a published folder."""
    return path / WEIGHTS if path.is_dir() else path


def _round(file: ModelFile, path: Path) -> int:
    try:
        return int(file.facts["round"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"'{path}' doesn't say after which round it was written") from error
