"""The state of a federated run after a round: written after each, read to go on from it.

A training checkpoint is a model file (`fedvsr_core.checkpoints.store`) that also carries the strategy's
arrays and the history, so it is one file, and ``load_model`` takes it too. A folder of checkpoints holds::

    last.safetensors          after the newest round; where to resume
    best.safetensors          after the round with the highest score so far
    round-0007.safetensors    after the newest rounds, up to a limit

``last`` is written after the others. A crash in between leaves it at the round before, from which the
interrupted round is repeated and its files are written again. The bytes depend on the run alone: put no
clock into the history.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.checkpoints.store import encode, read
from fedvsr_core.errors import CheckpointError
from fedvsr_core.json_text import parse_json
from server_app.records.run_dir import BEST as BEST
from server_app.records.run_dir import LAST as LAST

_ROUND = "round-{:04d}.safetensors"


@dataclass(frozen=True)
class TrainingCheckpoint:
    """A federated run after a round.

    Attributes:
        round: Rounds done so far; 0 is the untrained model.
        state: The global model's whole state dict.
        model_settings: ``_target_`` and constructor arguments of the model.
        strategy_state: The arrays that the strategy keeps between rounds.
        history: What else resuming needs, as plain JSON values without NaN.
        score: The model's score, higher is better; None if this round wasn't scored.
    """

    round: int
    state: Mapping[str, Tensor]
    model_settings: Mapping[str, Any]
    strategy_state: Mapping[str, np.ndarray] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None


def save_round(folder: Path, checkpoint: TrainingCheckpoint, *, keep: int) -> None:
    """Write the checkpoint of a round, and the best one if its score is the highest so far.

    Args:
        folder: The run's folder of checkpoints; it exists.
        checkpoint: The run after the round.
        keep: How many files of single rounds stay, 0 or more; the oldest are removed.
    """
    facts = {
        "round": str(checkpoint.round),
        "history": json.dumps(checkpoint.history, sort_keys=True, allow_nan=False),
    }
    if checkpoint.score is not None:
        facts["score"] = repr(float(checkpoint.score))
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.strategy_state.items()}
    content = encode(checkpoint.state, checkpoint.model_settings, facts, arrays)
    if keep:
        write_atomically(folder / _ROUND.format(checkpoint.round), content)
    if _is_best(checkpoint, folder / BEST):
        write_atomically(folder / BEST, content)
    write_atomically(folder / LAST, content)
    _remove_old(folder, checkpoint.round, keep)


def load_round(path: Path) -> TrainingCheckpoint:
    """Read a training checkpoint.

    Raises:
        CheckpointError: If the file is missing or damaged, or holds a model without the state of a run.
    """
    file = read(path)
    try:
        score = file.facts.get("score")
        return TrainingCheckpoint(
            round=int(file.facts["round"]),
            state=file.state,
            model_settings=file.settings,
            strategy_state={name: tensor.numpy() for name, tensor in file.extra.items()},
            history=dict(parse_json(file.facts["history"])),
            score=None if score is None else float(score),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"'{path}' holds a model but no run to resume ({error}); give a checkpoint that a run left"
        ) from error


def _is_best(checkpoint: TrainingCheckpoint, best: Path) -> bool:
    if checkpoint.score is None or math.isnan(checkpoint.score):
        return False
    if not best.exists():
        return True
    previous = load_round(best)
    # A best of this round or a later one is from before the run was set back to an earlier round.
    return previous.score is None or previous.round >= checkpoint.round or checkpoint.score > previous.score


def _remove_old(folder: Path, newest: int, keep: int) -> None:
    names = {_ROUND.format(number) for number in range(newest - keep + 1, newest + 1)}
    for path in folder.glob("round-*.safetensors"):
        if path.name not in names:
            path.unlink()
