"""The journal of a run: one JSON object a line, in the order in which things happened.

Every line has a ``phase`` and a ``time``, that of its writing in UTC as ISO 8601. Numbers that JSON lacks
are the strings ``"nan"``, ``"inf"`` and ``"-inf"``; ``float()`` reads them. Times are seconds, sizes bytes
unless the name says MB. Lines of a round are written before its checkpoint, so a checkpoint never knows more
than the journal.

``start``: ``seed``, ``device``, ``command``, ``strategy``, ``model``, ``data``,
    ``parameters`` (of the model), ``rounds`` (asked for), ``clients`` (their number), ``names`` (theirs),
    ``versions``, ``commit``, and the digests ``code`` (that trains), ``server-code``, ``settings`` (those
    that clients get, as their own records have it) and ``initial-weights``; after a resume
    ``resumed-after``, a round, instead of the last. ``held-out`` is the digest of the held-out clips,
    ``changes`` what a resume changes of the configuration: by key, the value before and the one now.
``train``: ``round``, ``seconds``, ``aggregation-seconds`` (without the wait for replies), ``bytes-down``,
    ``bytes-up``, ``server-memory-mb``, ``hellinger``, ``mixing``, ``kept-model`` (true if no update was
    used), ``clients`` (a list of ``client``, ``node``, ``loss``, ``parts``, ``examples``, ``steps``,
    ``weight``, ``seconds``, ``reply-seconds`` (from sending to receiving), ``peak-memory-mb``, ``device``,
    ``batches``, ``norm`` of its update, ``agreement``, the median cosine of the angles to the others',
    ``shortened`` and ``counted-examples``, where less of it counts) and ``refused`` (a list of ``client``,
    ``node``, ``code``, ``reason``); of a client with
    differential privacy also ``epsilon`` and ``delta`` of the round; with central privacy ``clipping-norm``
    and ``noise-multiplier``. A secure round has ``client`` alone of each client, ``reply-seconds`` (the
    longest time of training), and ``secure``: ``stages`` (a list of ``stage``, ``asked``, ``answered``,
    ``seconds``, ``bytes-down``, ``bytes-up``), ``least`` (clients that must be left), ``sums`` over all who
    have trained (``clients``, ``num-examples``, ``num-steps``, ``seconds``, and where all tell their
    losses ``loss``, ``loss-`` and each part), ``bits`` after the binary point, ``word-bits`` and ``norm`` of
    the mean update, or ``void``, why there is none.
``evaluate``: ``round``, ``seconds``, ``protocol`` (all of it), ``made-by`` (tools and versions behind
    metrics for which they matter), the means over clips by metric, such as
    ``psnr-y``, ``clips`` (the same by clip) and ``bicubic`` (all of these for bicubic interpolation), which
    only the first such line needs; ``left-out`` counts values that weren't finite, where there are any.
``evaluate-clients``: on the clients' own held-out clips: ``round``, ``seconds``, ``protocol``, the means over
    all of them, ``bicubic``, ``clips`` (how many count), ``bytes-down``, ``clients`` (a list of ``client``,
    ``clips``, ``frames``, ``seconds``, ``reply-seconds``, its means by metric, and ``share`` where less than
    all of its clips counts) and ``refused`` (as in ``train``).
``roll-back``: after the ``evaluate`` of a round whose model was given up: ``round``, ``to`` (the round whose
    model it is again), ``fell`` (by how much the score), ``against`` (clients); a second ``evaluate`` of the
    round follows, of the model that it leaves.
``end``: ``seconds``, ``outcome`` (``completed``, or why the run stopped).
"""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fedvsr_core.checkpoints.atomic import storing, sync_folder
from fedvsr_core.errors import CheckpointError
from fedvsr_core.json_text import parse_json
from server_app.records.lines import check_line

Line = dict[str, Any]
"""One entry of the journal."""

COMPLETED = "completed"
"""The outcome of a run that came to its end."""


class Journal:
    """An open journal that lines are appended to; each is on the disk when `append` returns.

    Args:
        path: The file; made if it doesn't exist. A half-written last line, which a crash leaves, is cut off.

    Attributes:
        path: The file.
        listeners: Are told of each line once it is on the disk; they raise nothing.

    Raises:
        CheckpointError: If a line other than the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listeners: list[Callable[[Line], object]] = []
        self._end = sum(len(text) for text, _ in _whole_lines(path)) if path.exists() else 0
        with storing(path):
            self._file = path.open("ab", buffering=0)  # what a disk refuses must not be tried again by itself
            self._file.truncate(self._end)
            sync_folder(path.parent)

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line.

        Args:
            line: JSON-able values; numpy numbers, NaN and infinities are welcome.

        Raises:
            TypeError: If a value is none of these.
            StorageError: If the disk is full; the line isn't there then, and the next one stands by itself.
        """
        plain = plain_json(_stamped(line))
        text = json.dumps(plain, allow_nan=False).encode() + b"\n"
        with storing(self.path):
            self._file.truncate(self._end)  # what a full disk took of an earlier line
            left = memoryview(text)
            while left:
                left = left[self._file.write(left) or 0 :]
            os.fsync(self._file.fileno())
        self._end += len(text)
        for listener in self.listeners:
            listener(plain)

    def cut_after(self, last_round: int) -> None:
        """Drop everything from the first line of a later round on, to continue from ``last_round``.

        The lines are kept aside, in ``journal.discarded.jsonl``.
        """
        whole = _whole_lines(self.path)
        later = (i for i, (_, line) in enumerate(whole) if line.get("round", 0) > last_round)
        first = next(later, len(whole))
        if first == len(whole):
            return
        with storing(self.path):
            with self.path.with_suffix(".discarded.jsonl").open("ab") as aside:
                aside.writelines(text for text, _ in whole[first:])
                aside.flush()
                os.fsync(aside.fileno())
            self._end = sum(len(text) for text, _ in whole[:first])
            self._file.truncate(self._end)
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> list[Line]:
    """All lines of a journal, which may still be growing; a half-written last line is left out.

    Raises:
        CheckpointError: If there is no journal, or a line other than the last is damaged.
    """
    if not path.exists():
        raise CheckpointError(f"a run directory must have a journal, but there is no '{path}'")
    return [line for _, line in _whole_lines(path)]


def read_checked(path: Path) -> list[Line]:
    """All lines of a journal that anyone may have written, as `read_journal`; each holds what readers need.

    Raises:
        CheckpointError: As `read_journal`, or if a line lacks something or holds something else.
    """
    lines = read_journal(path)
    for number, line in enumerate(lines, start=1):
        try:
            check_line(line)
        except ValueError as error:
            raise CheckpointError(
                f"line {number} of '{path}' can't be from a run of this version ({error}); remove it"
            ) from error
    return lines


def _stamped(line: Mapping[str, Any]) -> Line:
    return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **line}


def _whole_lines(path: Path) -> list[tuple[bytes, Line]]:
    """Each line as it is written, and what it holds."""
    texts = path.read_bytes().splitlines(keepends=True)
    lines = []
    for number, text in enumerate(texts, start=1):
        line = _object(text) if text.endswith(b"\n") else None
        if line is not None:
            lines.append((text, line))
        elif number < len(texts):
            raise CheckpointError(
                f"line {number} of '{path}' must be a JSON object, got {text[:80]!r}; remove it"
            )
    return lines


def _object(text: bytes) -> Line | None:
    try:
        value = parse_json(text)
    except ValueError:  # no JSON, or no UTF-8
        return None
    return value if isinstance(value, dict) else None


def plain_json(value: Any) -> Any:  # noqa: ANN401 (anything that JSON takes)
    """Plain values for JSON: numpy numbers become numbers, NaN and infinities the strings of the journal."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain_json(item) for item in value]
    return value
