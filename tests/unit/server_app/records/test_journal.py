"""The journal gives back what was written, survives a crash at any byte, and can be cut at any round."""

import errno
import json
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.errors import CheckpointError, StorageError
from server_app.records import journal as journal_module
from server_app.records.journal import Journal, read_checked, read_journal

STAMPED = journal_module._stamped
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(SCALARS, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=8)
LINES = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=5)


@pytest.fixture(scope="module", autouse=True)
def without_time() -> Iterator[None]:
    """Lines as they are given, so that tests can say what a file holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "_stamped", dict)
        yield


def test_every_line_has_the_time_of_its_writing(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "_stamped", STAMPED)
        write(tmp_path / "journal.jsonl", [{"phase": "end"}, {"phase": "start", "time": "given"}])
    first, second = read_journal(tmp_path / "journal.jsonl")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(first["time"])) < timedelta(minutes=10)
    assert second["time"] == "given"


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    with Journal(path) as journal:
        for line in lines:
            journal.append(line)


def test_a_line_is_one_json_object_and_on_the_disk_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append({"phase": "train", "round": 1})
        assert (tmp_path / "journal.jsonl").read_text() == '{"phase": "train", "round": 1}\n'


def test_what_json_lacks_is_written_as_words(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    values = [
        math.nan,
        math.inf,
        -math.inf,
        np.float32(0.5),
        np.int64(2**62),
        np.bool_(True),
        np.float64("nan"),
    ]
    write(path, [{"values": tuple(values), 7: {"psnr-y": np.float32("inf")}}])
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "values": ["nan", "inf", "-inf", 0.5, 2**62, True, "nan"],
        "7": {"psnr-y": "inf"},
    }
    assert math.isinf(float(read_journal(path)[0]["7"]["psnr-y"]))


def test_other_values_are_refused_and_leave_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        with pytest.raises(TypeError, match="not JSON serializable"):
            journal.append({"path": path})
        journal.append({"phase": "end"})
    assert read_journal(path) == [{"phase": "end"}]


@settings(max_examples=25, deadline=None)
@given(LINES)
def test_lines_come_back(tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, lines)
    write(path, lines)
    assert read_journal(path) == lines + lines


def test_a_crash_at_any_byte_costs_the_line_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    path, lines = tmp_path / "journal.jsonl", [{"round": 1}, {"round": 2, "name": "ä\n"}, {"round": 3}]
    write(path, lines)
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        whole = content[:length].count(b"\n")
        assert read_journal(path) == lines[:whole]
        write(path, [{"round": 4}])
        assert read_journal(path) == [*lines[:whole], {"round": 4}]


def test_a_last_line_of_zeros_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"round": 1}\n\0\0\0\0\n')
    write(path, [{"round": 2}])
    assert path.read_bytes() == b'{"round": 1}\n{"round": 2}\n'


def test_damage_before_the_last_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"round": 1}\n[2]\n{"round": 3}\n')
    for attempt in (read_journal, Journal):
        with pytest.raises(
            CheckpointError, match=r"line 2 of '.*journal\.jsonl' must be a JSON object, got b'\[2\]"
        ):
            attempt(path)


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"must have a journal, but there is no '.*journal\.jsonl'"):
        read_journal(tmp_path / "journal.jsonl")


def test_cutting_keeps_the_later_lines_aside(tmp_path: Path) -> None:
    path, aside = tmp_path / "journal.jsonl", tmp_path / "journal.discarded.jsonl"
    start, end = {"phase": "start"}, {"phase": "end", "outcome": "interrupted", "rounds": 3}
    rounds = [{"phase": phase, "round": number} for number in range(4) for phase in ("train", "evaluate")]
    write(path, [start, *rounds, end])
    with Journal(path) as journal:
        journal.cut_after(3)
        assert read_journal(path) == [start, *rounds, end]
        assert not aside.exists()
        journal.cut_after(2)
        journal.append({"phase": "start", "resumed-after": 2})
        assert read_journal(path) == [start, *rounds[:6], {"phase": "start", "resumed-after": 2}]
        journal.append({"phase": "train", "round": 3})
        journal.cut_after(0)
    assert read_journal(path) == [start, *rounds[:2]]
    resumed = [{"phase": "start", "resumed-after": 2}, {"phase": "train", "round": 3}]
    assert read_journal(aside) == [*rounds[6:], end, *rounds[2:6], *resumed]


class Full:
    """A file on a disk that takes so many bytes more."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken: int = self.file.write(content[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", range(0, 40, 3))
def test_a_full_disk_costs_the_line_in_flight_and_no_other(tmp_path: Path, room: int) -> None:
    path, line = tmp_path / "journal.jsonl", {"phase": "train", "round": 1, "note": "x" * 20}
    with Journal(path) as journal:
        journal.append({"phase": "start"})
        whole, journal._file = journal._file, Full(journal._file, room)
        with pytest.raises(StorageError, match=r"journal\.jsonl' can't be written: No space left") as caught:
            journal.append(line)
        assert caught.value.errno == errno.ENOSPC
        assert read_journal(path) == [{"phase": "start"}]  # half a line, at most
        journal._file = whole  # there is room again
        journal.append({"phase": "end", "outcome": "full"})
    assert read_journal(path) == [{"phase": "start"}, {"phase": "end", "outcome": "full"}]


def test_a_disk_that_takes_little_at_once_takes_all(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        taken = journal._file

        class Slow(Full):
            def write(self, content: Any) -> int:
                written: int = self.file.write(content[:3])
                return written

        journal._file = Slow(taken, 0)
        journal.append({"phase": "start", "note": "x" * 20})
        journal._file = taken
    assert read_journal(path) == [{"phase": "start", "note": "x" * 20}]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({}, "phase: Field required"),
        ({"phase": 3}, "phase: Input should be a valid string"),
        ({"phase": "train", "clients": [], "refused": []}, "round: Field required"),
        ({"phase": "train", "round": -1, "clients": [], "refused": []}, "round: "),
        ({"phase": "train", "round": 1, "clients": [{}], "refused": []}, r"clients\.0\.client: Field"),
        ({"phase": "evaluate", "round": 1, "psnr-y": []}, "float"),
        ({"phase": "evaluate", "round": 1, "protocol": {"x": 1}}, "KeyError"),
        ({"phase": "evaluate", "round": 1, "protocol": {"metrics": ["x"]}}, "unknown metric"),
        ({"phase": "end"}, "outcome: Field required"),
    ],
)
def test_a_line_of_something_else_is_named(tmp_path: Path, line: dict[str, Any], why: str) -> None:
    write(tmp_path / "journal.jsonl", [{"phase": "start"}, line])
    with pytest.raises(CheckpointError, match=rf"line 2 of '.*journal\.jsonl' can't be .*{why}"):
        read_checked(tmp_path / "journal.jsonl")
