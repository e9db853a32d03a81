"""Journals and run directories that pages are made from: a long one, and one with hostile words."""

import json

import numpy as np

from fedvsr_core.data.clips import Clip
from server_app.records.crop_series import CropSeries
from server_app.records.run_dir import RunDir
from tests.journals import client, refusal, scores, train

HOSTILE = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "\"'><svg onload=window.hit=1>",
    "{{ 7*7 }}{% raw %}",
    "javascript:window.hit=1",
    "\u202egnp.exe\u2028\u0000",
    "`${window.hit=1}`",
)


def start(rounds, names):
    return {
        "phase": "start",
        "time": "2026-11-27T20:17:34+00:00",
        "strategy": "fedvsr",
        "model": "recurrent",
        "data": "sample",
        "rounds": rounds,
        "parameters": 111888,
        "command": "flwr run . --stream",
        "seed": 0,
        "clients": len(names),
        "names": names,
        "versions": {"torch": "2.14.1"},
    }


def evaluation(number, gain):
    protocol = {"name": "sample", "metrics": ["psnr-y", "ssim-y", "psnr-rgb", "ssim-rgb"]}
    return {
        "phase": "evaluate", "round": number, "seconds": 1.5, "protocol": protocol, **scores(gain),
        "bicubic": scores(0.0),
    }  # fmt: skip


def long_journal(rounds, clients):
    """So many rounds of so many clients, of which every seventh reply is refused."""
    names = [f"site-{number}" for number in range(clients)]
    lines = [start(rounds, names), evaluation(0, 0.0)]
    for number in range(1, rounds + 1):
        left_out = {name for place, name in enumerate(names) if (place + number) % 7 == 0}
        trained = [
            client(name, 0.05 / number**0.3 + place * 1e-4, 1 / clients)
            for place, name in enumerate(names)
            if name not in left_out
        ]
        refused = [
            refusal(name, "non-finite", f"'fuse.weight' holds {number} values that aren't finite")
            for name in sorted(left_out)
        ]
        lines += [train(number, trained, refused), evaluation(number, 1.5 - 1.5 / number)]
    return [*lines, {"phase": "end", "seconds": 100.0, "outcome": "completed"}]


def hostile_journal():
    """Three rounds in which all words from outside are somebody's attempt."""
    lines = [start(3, list(HOSTILE)), evaluation(0, 0.0)]
    for number in range(1, 4):
        trained = [
            {**client(name, 0.05, 0.2), "device": name, "parts": {name: 0.02, "charbonnier": 0.03}}
            for name in HOSTILE[:5]
        ]
        refused = [refusal(name, name, f"{name} {name}") for name in HOSTILE[5:]]
        scored = evaluation(number, 0.5)
        scored["clips"] = {name: {"psnr-y": 25.0} for name in HOSTILE}
        lines += [train(number, trained, refused), scored]
    return [*lines, {"phase": "end", "seconds": 9.0, "outcome": HOSTILE[0]}]


def run_with(root, lines, *, crops=()):
    """A run directory with a journal, and crops of these rounds."""
    run = RunDir.create(str(root), ["fedvsr", "recurrent"])
    run.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if crops:
        draw_crops(run, crops)
    return run


def clip(name, seed, frames=16, height=32, width=40):
    """A clip that moves: high resolution four times as large as low."""
    generator = np.random.default_rng(seed)
    high = generator.integers(0, 256, (1, height * 4, width * 4 + frames, 3), dtype=np.uint8)
    moved = np.concatenate([high[:, :, place : place + width * 4] for place in range(frames)])
    return Clip(name, moved, moved[:, ::4, ::4])


def draw_crops(run, rounds, clips=2):
    """Crops as a run leaves them: what the model makes is the truth with less and less noise."""
    footage = [clip(f"clips/{number}", number) for number in range(clips)]
    series = CropSeries(run.crop_series, footage, max(rounds) or 1)
    for number in rounds:
        for each in footage:
            for place, frame in enumerate(each.high):
                mixed = frame.astype(float) * 0.8 + 40 - 3 * number
                series.see(each.name, place, np.clip(mixed, 0, 255).astype(np.uint8))
        series.keep(number)
