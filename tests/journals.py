"""Fixture: a journal of three rounds with two clients, of which one is refused twice."""

from typing import Any

import pytest

CLIPS = {"bikes/138-186": 24.0, "carphone/000-119": 32.0}


def scores(gain: float) -> dict[str, Any]:
    clips = {
        name: {"psnr-y": psnr + gain, "ssim-y": 0.8, "psnr-rgb": psnr - 1.5 + gain, "ssim-rgb": 0.75}
        for name, psnr in CLIPS.items()
    }
    mean = {
        metric: sum(of_clip[metric] for of_clip in clips.values()) / len(clips)
        for metric in clips["bikes/138-186"]
    }
    return {**mean, "clips": clips}


def client(name: str, loss: float, weight: float) -> dict[str, Any]:
    return {
        "client": name,
        "node": "17",
        "loss": loss,
        "parts": {"charbonnier": loss * 0.75, "high-frequency": loss * 0.25},
        "examples": 90,
        "steps": 10,
        "weight": weight,
        "seconds": 4.5,
        "peak-memory-mb": 700.0,
        "device": "cpu",
        "batches": "ab12",
    }


def refusal(name: str, code: str, reason: str) -> dict[str, Any]:
    return {"client": name, "node": "18", "code": code, "reason": reason}


def train(number: int, clients: list[dict[str, Any]], refused: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "phase": "train",
        "round": number,
        "seconds": 5.0,
        "bytes-down": 1000,
        "bytes-up": 1000,
        "server-memory-mb": 500.0,
        "hellinger": 0.0125,
        "mixing": 0.5,
        "kept-model": not clients,
        "clients": clients,
        "refused": refused,
    }


@pytest.fixture
def journal() -> list[dict[str, Any]]:
    broken = refusal("partition-1", "non-finite", "'fuse.weight' holds 3 values that aren't finite")
    return [
        {
            "phase": "start",
            "seed": 0,
            "strategy": "fedvsr",
            "model": "recurrent",
            "command": "flwr run . --stream",
            "rounds": 3,
            "clients": 2,
            "versions": {"torch": "2.6.0", "flwr": "1.41.0", "fedvsr": None},
        },
        {"phase": "evaluate", "round": 0, "seconds": 1.0, **scores(0.0), "bicubic": scores(0.0)},
        train(1, [client("partition-0", 0.04, 0.25), client("partition-1", 0.02, 0.75)], []),
        {"phase": "evaluate", "round": 1, "seconds": 1.0, **scores(0.25)},
        train(2, [client("partition-0", 0.03, 1.0)], [broken]),
        {"phase": "evaluate", "round": 2, "seconds": 1.0, **scores(0.5)},
        train(3, [client("partition-0", 0.02, 1.0)], [broken]),
        {"phase": "evaluate", "round": 3, "seconds": 1.0, **scores(0.375)},
        {"phase": "end", "rounds": 3, "seconds": 20.0, "outcome": "completed"},
    ]


@pytest.fixture
def headline_between(journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same where the first and the last evaluation alone have more than the headline, and tOF, too."""

    def only(scores: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in scores.items() if not name.startswith(("ssim", "psnr-rgb"))}
        if "clips" in kept:
            kept["clips"] = {name: only(of_clip) for name, of_clip in kept["clips"].items()}
        return kept

    first, *between, last = (line for line in journal if line["phase"] == "evaluate")
    changed = {line["round"]: only(line) for line in between}
    changed |= {0: {**first, "tof": 0.5}, 3: {**last, "tof": 0.25}}
    return [changed[line["round"]] if line["phase"] == "evaluate" else line for line in journal]
