"""Scores of bicubic interpolation kept on disk, since all runs on the same held-out clips have the same."""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.data.clips import Clip
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.home import flower_home
from fedvsr_core.metrics.suite import Values

MOST = 100
"""Entries; beyond, those that were used longest ago are removed."""

_log = logging.getLogger(__name__)


def kept_or_computed(
    clips: Sequence[Clip], facts: Mapping[str, Any], compute: Callable[[], list[Values]]
) -> list[Values]:
    """The scores of clips as they were computed once, in this process or another.

    Their name is a digest of all pixels, of ``facts`` and of the code that computes: another file, decoder,
    degradation, protocol or version has another name, and nothing is ever out of date. An entry holds its own
    digest; a damaged one is computed again. A run goes on without one that can't be written.

    Args:
        clips: What is scored, with the degraded frames.
        facts: All else that the scores depend on, plain values.
        compute: Makes them, by clip and metric.
    """
    path = folder() / f"{_digest(clips, facts)}.json"
    values = _read(path)
    if values is None:
        values = compute()
        _write(path, values)
    return values


def folder() -> Path:
    """Where they lie: below Flower's home."""
    return flower_home() / "fedvsr-bicubic"


def _digest(clips: Sequence[Clip], facts: Mapping[str, Any]) -> str:
    digest = sha256(json.dumps([code_digest(), facts], sort_keys=True).encode())
    for clip in clips:
        for frames in (clip.high, clip.low):
            if frames is not None:
                digest.update(f"{frames.shape}".encode())
                digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def _read(path: Path) -> list[Values] | None:
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
        os.utime(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("bicubic's scores can't be read, and are computed again: %s", error)
        return None
    if checksum != _checksum(content):
        _log.warning("bicubic's scores in '%s' are damaged, and are computed again", path)
        return None
    return [{name: np.array(scores) for name, scores in clip.items()} for clip in json.loads(content)]


def _write(path: Path, values: Sequence[Values]) -> None:
    content = json.dumps([{name: scores.tolist() for name, scores in clip.items()} for clip in values])
    own = path.with_suffix(f".{uuid4().hex}")  # several processes may write the same entry
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(own, _checksum(content.encode()) + b"\n" + content.encode())
        own.replace(path)
        entries = sorted(path.parent.iterdir(), key=lambda entry: entry.stat().st_mtime)
        for entry in entries[:-MOST]:
            entry.unlink()
    except FileNotFoundError:
        pass  # another process has removed the same entry
    except OSError as error:
        _log.warning("bicubic's scores can't be kept for other runs: %s", error)


def _checksum(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()
