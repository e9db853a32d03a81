"""A file written atomically is whole, old or new, even if its writer is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedvsr_core.checkpoints.atomic import write_atomically

WRITER = """
import itertools, pathlib, sys
from fedvsr_core.checkpoints.atomic import write_atomically
for number in itertools.count():
    write_atomically(pathlib.Path(sys.argv[1]), bytes([number % 256]) * 2_000_000)
"""


def test_content_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"old, and longer")
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    file, writers = tmp_path / "file", set()
    for attempt in range(10):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)])
        try:
            while not file.exists():
                assert writer.poll() is None
                time.sleep(0.002)
            time.sleep(0.005 * (attempt + 1))
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        content = file.read_bytes()
        assert len(content) == 2_000_000
        assert len(set(content)) == 1, "a mixture of two writes"
        writers.add(content[0])
        file.unlink()
    assert len(writers) > 1, "every writer was killed during its first write"
