"""A run has a directory of its own: made once, absolute, and written by one process at a time."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fedvsr_core.errors import ConfigurationError, FederationError, StorageError
from server_app.records import lock
from server_app.records.run_dir import RunDir

NOW = datetime(2026, 3, 1, 23, 30, 5, tzinfo=timezone(timedelta(hours=-2)))
HOLDER = """
import sys, time
from server_app.records.run_dir import RunDir
with RunDir.open(sys.argv[1]).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_its_name_tells_when_and_what(tmp_path: Path) -> None:
    run = RunDir.create(str(tmp_path / "runs"), ["fedvsr", "recurrent"], NOW)
    assert run.path == tmp_path / "runs" / "20260302-013005-fedvsr-recurrent"
    assert run.checkpoints.is_dir()


def test_two_runs_of_one_second_get_two_directories(tmp_path: Path) -> None:
    names = [RunDir.create(str(tmp_path), ["fedvsr"], NOW).path.name for _ in range(3)]
    assert names == [f"20260302-013005-fedvsr{suffix}" for suffix in ("", "-2", "-3")]


def test_it_is_the_same_run_wherever_it_is(tmp_path: Path) -> None:
    first, second = (RunDir.create(str(tmp_path / root), ["fedvsr"], NOW) for root in ("a", "b"))
    assert first.path.name == second.path.name
    known = first.identity()
    assert known != second.identity()
    assert RunDir(first.path.rename(tmp_path / "moved")).identity() == known
    assert RunDir(tmp_path / "b").identity() == "b"  # made by hand


def test_the_time_is_now(tmp_path: Path) -> None:
    before = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = RunDir.create(str(tmp_path), ["fedvsr"]).path.name
    assert before <= name.removesuffix("-fedvsr") <= datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


@pytest.mark.parametrize("path", ["runs", "./runs", ""])
def test_relative_paths_are_refused(path: str) -> None:
    for make in (lambda: RunDir.create(path, ["fedvsr"]), lambda: RunDir.open(path)):
        with pytest.raises(ConfigurationError, match=f"must be an absolute path, got '{path}'"):
            make()


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigurationError, match=r"the folder of runs '.*/file/runs' can't be made: Not a directory"
    ):
        RunDir.create(str(tmp_path / "file" / "runs"), ["fedvsr"])


def test_only_a_run_can_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has a journal\.jsonl, but there is none in"):
        RunDir.open(str(tmp_path))
    (tmp_path / "journal.jsonl").touch()
    assert RunDir.open(str(tmp_path)).path == tmp_path


def test_nothing_in_it_shares_a_name(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    names = [name for name, value in vars(RunDir).items() if isinstance(value, property)]
    paths = {getattr(run, name) for name in names}
    assert len(paths) == len(names) > 8
    assert all(path.parent == tmp_path for path in paths)


def test_the_lock_comes_back(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with run.locked(), pytest.raises(FederationError, match=r"is being written by process \d+"), run.locked():
        pytest.fail("locked twice")
    with run.locked():
        pass


def test_the_lock_of_a_killed_process_is_stale(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.journal.touch()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(FederationError, match=f"is being written by process {holder.pid};"), run.locked():
            pytest.fail("locked twice")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with run.locked():
        pass


def test_it_waits_for_a_process_that_is_about_to_end(tmp_path, monkeypatch):
    run = RunDir.create(str(tmp_path), ["fedvsr"])
    with ExitStack() as first:
        first.enter_context(run.locked())
        monkeypatch.setattr(lock.time, "sleep", lambda seconds: first.close())
        with run.locked(wait_s=60), pytest.raises(FederationError, match="is being written"), run.locked():
            pytest.fail("locked twice")


def test_a_disk_without_room_is_said_in_a_sentence(tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="can't be written: No space left on device; free its disk"):
        RunDir.create(str(tmp_path), ["fedvsr"])
