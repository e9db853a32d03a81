"""Checkpoints of a run come back whole, the right ones are kept, and a crash costs one round at most."""

import multiprocessing
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.errors import CheckpointError
from server_app.checkpoints import BEST, LAST, TrainingCheckpoint, load_round, save_round

MODEL = {"_target_": "fedvsr_core.models.recurrent.Recurrent", "width": 4, "blocks": 1, "scale": 4}

SAVE_FOR_EVER = """
import itertools, numpy, torch
from server_app.checkpoints import LAST, TrainingCheckpoint, load_round, save_round

done = load_round(folder / LAST).round if (folder / LAST).exists() else -1
for number in itertools.count(done + 1):
    state = {"weight": torch.full((100_000,), float(number))}
    strategy, history = {"momentum": numpy.full(9, number)}, {"cohorts": [[]] * number}
    save_round(folder, TrainingCheckpoint(number, state, {}, strategy, history, score=float(number)), keep=2)
    with open(folder / "saved", "a") as log:
        log.write(f"{number}\\n")
"""


def after(number: int, score: float | None = None) -> TrainingCheckpoint:
    return TrainingCheckpoint(
        round=number,
        state={"weight": torch.full((4,), float(number)), "steps": torch.tensor(number)},
        model_settings=MODEL,
        strategy_state={"momentum": np.full((2, 3), number, dtype=np.float64), "step": np.float32(number)},
        history={"cohorts": [["partition-0"]] * number},
        score=score,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_whole(checkpoint: TrainingCheckpoint) -> bool:
    number = checkpoint.round
    return (
        bool((checkpoint.state["weight"] == number).all())
        and bool((checkpoint.strategy_state["momentum"] == number).all())
        and len(checkpoint.history["cohorts"]) == number
    )


def test_a_round_comes_back(tmp_path: Path) -> None:
    save_round(tmp_path, after(3, score=31.25), keep=1)
    loaded = load_round(tmp_path / LAST)
    assert (loaded.round, loaded.model_settings, loaded.score) == (3, MODEL, 31.25)
    assert loaded.history == {"cohorts": [["partition-0"]] * 3}
    torch.testing.assert_close(loaded.state, after(3).state, rtol=0, atol=0)
    assert loaded.state["steps"].dtype == torch.int64
    for name, array in after(3).strategy_state.items():
        np.testing.assert_array_equal(loaded.strategy_state[name], array)
        assert loaded.strategy_state[name].dtype == np.asarray(array).dtype
        assert loaded.strategy_state[name].shape == np.shape(array)


def test_saving_what_was_loaded_gives_the_same_bytes(tmp_path: Path) -> None:
    save_round(tmp_path, after(3, score=31.1), keep=1)
    content = (tmp_path / LAST).read_bytes()
    save_round(tmp_path, load_round(tmp_path / LAST), keep=1)
    assert (tmp_path / LAST).read_bytes() == content


@pytest.mark.parametrize(
    ("keep", "rounds"), [(0, []), (1, [5]), (3, [3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])], ids=["0", "1", "3", "9"]
)
def test_the_newest_rounds_stay(tmp_path: Path, keep: int, rounds: list[int]) -> None:
    for number in range(6):
        save_round(tmp_path, after(number, score=-abs(number - 2)), keep=keep)
    assert names(tmp_path) == [BEST, LAST, *(f"round-{number:04d}.safetensors" for number in rounds)]
    assert load_round(tmp_path / LAST).round == 5
    assert load_round(tmp_path / BEST).round == 2  # scores -2, -1, 0, -1, -2, -3


def test_only_a_higher_score_is_better(tmp_path: Path) -> None:
    scores = [None, 1.0, 1.0, float("nan"), None, 2.0, 1.5]
    best = []
    for number, score in enumerate(scores):
        save_round(tmp_path, after(number, score), keep=0)
        best.append(load_round(tmp_path / BEST).round if (tmp_path / BEST).exists() else None)
    assert best == [None, 1, 1, 1, 1, 5, 5]


def test_going_back_to_an_earlier_round_forgets_the_later_ones(tmp_path: Path) -> None:
    for number in range(6):
        save_round(tmp_path, after(number, score=float(number)), keep=4)
    save_round(tmp_path, after(3, score=-7.0), keep=4)  # resumed after round 2
    assert names(tmp_path) == [BEST, LAST, "round-0002.safetensors", "round-0003.safetensors"]
    assert load_round(tmp_path / BEST).round == 3


def test_a_model_without_a_run_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", {"a": torch.zeros(1)}, MODEL)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors' holds a model but no run to resume \('round'\)"
    ):
        load_round(tmp_path / "model.safetensors")


def test_a_crash_at_any_step_leaves_a_round_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop at the first, second, ... change of the disk, go on from ``last``, compare with a straight run."""
    straight = tmp_path / "straight"
    straight.mkdir()
    for number in range(3):
        save_round(straight, after(number, score=float(number)), keep=1)
    for step in count():
        folder = tmp_path / str(step)
        folder.mkdir()
        for number in range(2):
            save_round(folder, after(number, score=float(number)), keep=1)
        with monkeypatch.context() as patch:
            changes = _crash_at(step, patch)
            try:
                save_round(folder, after(2, score=2.0), keep=1)
            except KeyboardInterrupt:
                pass
            else:
                break
        done = load_round(folder / LAST)
        assert is_whole(done)
        assert is_whole(load_round(folder / BEST))
        assert done.round in (1, 2), f"crash after {changes}"
        for number in range(done.round + 1, 3):
            save_round(folder, after(number, score=float(number)), keep=1)
        for name in (LAST, BEST, "round-0002.safetensors"):
            assert (folder / name).read_bytes() == (straight / name).read_bytes(), f"crash after {changes}"
        if done.round == 1:  # the rest of an interrupted round is put in order when it is repeated
            assert names(folder) == names(straight)
    assert step == 16, "three files of five changes each, then an old one is removed"


def _crash_at(step: int, patch: pytest.MonkeyPatch) -> list[str]:
    changes: list[str] = []

    def counted(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if name == "open" and arguments[1:] != ("wb",):
                return function(*arguments, **options)
            if len(changes) == step:
                raise KeyboardInterrupt
            changes.append(name)
            return function(*arguments, **options)

        return call

    patch.setattr(Path, "open", counted("open", Path.open))
    patch.setattr(Path, "replace", counted("replace", Path.replace))
    patch.setattr(Path, "unlink", counted("unlink", Path.unlink))
    patch.setattr(os, "fsync", counted("fsync", os.fsync))
    patch.setattr(os, "open", counted("open folder", os.open))
    return changes


def test_a_killed_run_leaves_whole_checkpoints(tmp_path: Path) -> None:
    """Kill a process that saves round after round; the next one goes on from what it finds."""
    fresh = multiprocessing.get_context("forkserver")  # a fork of this process would inherit torch's threads
    fresh.set_forkserver_preload(["server_app.checkpoints"])
    last, log = tmp_path / LAST, tmp_path / "saved"
    log.touch()
    for attempt in range(8):
        writer = fresh.Process(target=exec, args=(SAVE_FOR_EVER, {"folder": tmp_path}))
        writer.start()
        before = log.read_text()
        while log.read_text() == before:
            assert writer.is_alive()
            time.sleep(0.002)
        time.sleep(0.004 * attempt)
        writer.kill()
        writer.join()
        for path in tmp_path.glob("[!.]*.safetensors"):
            assert is_whole(load_round(path)), path
        saved = int(log.read_text().split("\n")[-2])  # the last whole line
        assert load_round(last).round in (saved, saved + 1), "more than the round in flight was lost"
        assert len(list(tmp_path.glob("round-*"))) <= 3
    assert saved >= 7, "a round for each writer at least"
