"""Encoded frames on disk, a run at a time, so that a job that is killed has lost only one run."""

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from fedvsr.inference.encoding import Chosen, Encoder, Shape
from fedvsr_core.errors import DataError

_HEAD = struct.Struct("<q?I")
"""Of each packet: its time in ticks, whether decoding can begin there, its size in bytes."""
_NAME = re.compile(r"(\d{8})-(\d{8})\.packets")


class SegmentWriter:
    """Encodes frames to files of a folder, so many in each; each can be decoded without the others.

    Args:
        folder: The folder; what it holds already is continued.
        chosen: The codec.
        shape: What the frames are.
        time: When each frame is shown, in ticks.
        length: Frames in each file.
    """

    def __init__(
        self, folder: Path, chosen: Chosen, shape: Shape, time: Callable[[int], int], length: int
    ) -> None:
        self._folder, self._chosen, self._shape = folder, chosen, shape
        self._time, self._length = time, length
        self.done = done_in(folder)
        self._begun = self.done
        self._encoder: Encoder | None = None
        self._partial = folder / "packets.part"

    def write(self, frame: npt.NDArray[Any]) -> None:
        """Encode the next frame; raises OSError when the disk is full."""
        if self._encoder is None:
            self._encoder = Encoder(self._chosen, self._shape)
            self._file = self._partial.open("wb")
        self._put(self._encoder.encode(frame, self._time(self.done)))
        self.done += 1
        if self.done - self._begun == self._length:
            self.finish()

    def finish(self) -> None:
        """Complete the file that is being written, if there is one."""
        if self._encoder is None:
            return
        self._put(self._encoder.finish())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.rename(self._folder / f"{self._begun:08d}-{self.done:08d}.packets")
        self._encoder, self._begun = None, self.done

    def close(self) -> None:
        """Let go of the file, complete or not."""
        if self._encoder is not None:
            self._file.close()

    def _put(self, packets: "Iterator[Packet[VideoStream]]") -> None:
        for packet in packets:
            self._file.write(_HEAD.pack(packet.pts, packet.is_keyframe, packet.size))
            self._file.write(bytes(packet))
        self._file.flush()  # a full disk shows at once


@dataclass(frozen=True)
class Coded:
    """One encoded frame.

    Attributes:
        time: When it is shown, in ticks.
        key: Whether decoding can begin there.
        data: The bytes.
    """

    time: int
    key: bool
    data: bytes

    def packet(self, tick: Fraction) -> "Packet[Stream]":
        """As a packet to be muxed."""
        packet: Packet[Stream] = Packet(self.data)
        packet.pts, packet.time_base, packet.is_keyframe = self.time, tick, self.key
        return packet


def done_in(folder: Path) -> int:
    """Frames in the complete files of a folder."""
    return int(_files(folder)[-1].name[9:17]) if _files(folder) else 0


def times_in(folder: Path) -> npt.NDArray[np.int64]:
    """The times of all frames of a folder, in the order in which they are encoded."""
    times = []
    for path in _files(folder):
        with path.open("rb") as file:
            while head := file.read(_HEAD.size):
                time, _, size = _HEAD.unpack(head)
                times.append(time)
                file.seek(size, os.SEEK_CUR)
    return np.array(times, np.int64)


def coded_in(folder: Path) -> Iterator[Coded]:
    """All frames of a folder, in the order in which they are encoded.

    Raises:
        DataError: If a file is damaged.
    """
    for path in _files(folder):
        with path.open("rb") as file:
            while head := file.read(_HEAD.size):
                time, key, size = _HEAD.unpack(head)
                data = file.read(size)
                if len(data) < size:
                    raise DataError(f"'{path}' of an interrupted job is damaged; start the job anew")
                yield Coded(time, key, data)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
