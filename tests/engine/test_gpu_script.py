"""Promises: the script for a GPU runs from end to end on a CPU, and goes on where it was stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["tests", "parity", "loss", "steps", "presets", "upscaling", "sharing", "compiled", "training"]


def run(folder):
    words = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", "--tiny"]
    done = subprocess.run(
        [*words, "--output", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.long
def test_all_parts_and_again(tmp_path):
    rows = run(tmp_path)
    parts = json.loads((tmp_path / "gpu.json").read_text())
    assert {name: row["ended"] for name, row in parts["parts"].items()} == dict.fromkeys(PARTS, "done")
    assert {row["part"] for row in rows} == {"machine", "parts", *PARTS}
    assert all(row.get("within-1e-4", True) for row in parts["parity"].values())
    assert sum("within-1e-4" in row for row in parts["parity"].values()) == 11
    assert parts["sharing"]["two clients"] | {"seconds": 0} == {
        "exit-code": 0, "seconds": 0, "replies": 4, "on": "cpu"
    }  # fmt: skip
    assert parts["training"]["recurrent"]["rounds"] == 1
    table = (tmp_path / "gpu.md").read_text()
    assert all(f"## {part}\n" in table for part in PARTS)

    del parts["parity"]["metric ssim"], parts["parts"]["parity"]
    (tmp_path / "gpu.json").write_text(json.dumps(parts))
    again = run(tmp_path)
    assert [(row["part"], row["row"]) for row in again] == [
        ("machine", "cpu"), ("parity", "metric ssim"), ("parts", "parity")
    ]  # fmt: skip
