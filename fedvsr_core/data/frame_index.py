"""Which frames a video file really has, when each is shown, and where decoding can begin.

Headers may count wrongly, so packets are counted, and the first and the last are decoded to see that each is
a frame; where they aren't, or have no times, the whole file is decoded once.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fedvsr_core.data.containers import Shown, decodable, open_video, shown
from fedvsr_core.errors import DataError

OnDamage = Callable[[str], object]
"""Is told what of a file can't be decoded, in words."""
_TRIED = 12
"""Frames decoded at the start to see that each packet is one."""
_SLACK_S = 0.25
"""How much sooner than it says a sound file may end."""
_HAS_DURATION = ("matroska", "mov", "asf", "flv", "avi")
"""Formats whose header says how long the file is, rather than ffmpeg guessing it."""


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video file in the order in which they are shown.

    Attributes:
        times: When each is shown, in ticks, ascending, int64.
        starts: Numbers of the frames at which decoding can begin, ascending.
        tick: Seconds.
        rate: Frames a second, on average.
        seekable: Whether each frame is known by its time; else they are counted from the start.
        shown: How they are to be shown.
        start_s: When the file begins, its sound or its frames, in seconds.
        lost: What of the file can't be read, in words; empty if it is sound.
    """

    times: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    tick: Fraction
    rate: Fraction
    seekable: bool
    shown: Shown
    start_s: float
    lost: str

    @property
    def variable(self) -> bool:
        """Whether frames are shown for different times, by more than rounding."""
        steps = np.sort(np.diff(self.times)) * float(self.tick) * 1000
        return len(steps) > 1 and bool(steps[-1] - steps[0] > max(2.0, 0.1 * steps[len(steps) // 2]))

    def start_before(self, number: int) -> int:
        """The last frame up to one at which decoding can begin; 0 if there is none."""
        place = int(np.searchsorted(self.starts, number, side="right")) - 1
        return int(self.starts[place]) if place >= 0 else 0

    def seconds(self) -> npt.NDArray[np.float64]:
        """When each frame is shown, the first at 0."""
        return np.asarray((self.times - self.times[0]) * float(self.tick))


def index_of(path: Path) -> FrameIndex:
    """The index of a file, remembered until it changes.

    Raises:
        DataError: If it isn't a video, or none of it can be decoded.
    """
    if not path.exists():
        raise DataError(f"there is no video file or folder of frames at '{path}'")
    facts = path.stat()
    with decodable(path):
        return _index_of(path, facts.st_mtime_ns, facts.st_size)


def decoded(
    container: InputContainer, stream: VideoStream, on_damage: OnDamage | None = None
) -> Iterable[VideoFrame]:
    """Decode on from where the file stands, past what is damaged, which is said if someone listens."""
    say = on_damage or (lambda words: None)
    packets = container.demux(stream)
    packet: Packet[VideoStream] | None
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:
            say(f"reading ends with '{error.strerror}'")
            packet, packets = None, iter(())
        try:  # without a packet, what the decoder still holds
            yield from stream.codec_context.decode(packet if packet and packet.size else None)
        except av.EOFError:
            return
        except av.FFmpegError:
            say("a packet can't be decoded")


@functools.lru_cache(maxsize=1024)
def _index_of(path: Path, _changed: int, _size: int) -> FrameIndex:
    with open_video(path) as (container, stream):
        packets, present, lost = _packets(container, stream)
        times = np.array(sorted(time for time, _ in packets if time is not None), np.int64)
        starts = [time for time, key in packets if key and time is not None]
        sound = not lost and len(times) == len(packets) and len(np.unique(times)) == len(times)
        tick, start_s = Fraction(stream.time_base or 1), (container.start_time or 0) / 1e6
        rate = Fraction(stream.average_rate or stream.guessed_rate or 0)
        if "mov" in container.format.name and stream.frames > present:
            lost = f"{stream.frames - present} of {stream.frames} frames are missing"
    with open_video(path) as (container, stream):
        head = list(islice(decoded(container, stream), _TRIED))
        if not head:
            raise DataError(f"no frame of '{path}' can be decoded; re-encode it or leave it out")
        look = shown(container, stream, head)
    sound = sound and [frame.pts for frame in head] == times[:_TRIED].tolist()
    if sound and starts:
        with open_video(path) as (container, stream):
            container.seek(starts[-1], stream=stream)
            end = [frame.pts for frame in decoded(container, stream)]
        sound = [time for time in end if time is not None and time >= starts[-1]] == times[
            times >= starts[-1]
        ].tolist()
    if not sound:
        times, starts, damage = _decode_all(path, rate, tick)
        lost = lost or "; ".join(sorted(set(damage)))
    seekable = len(np.unique(times)) == len(times) and bool(starts) and bool((np.diff(times) > 0).all())
    return FrameIndex(
        times,
        np.searchsorted(times, np.array(starts, np.int64)) if seekable else np.zeros(1, np.int64),
        tick,
        rate or _mean_rate(times, tick),
        seekable,
        look,
        start_s,
        lost,
    )


def _packets(
    container: InputContainer, stream: VideoStream
) -> tuple[list[tuple[int | None, bool]], int, str]:
    """What the file holds, without decoding.

    Returns:
        For each frame that is to be shown, in the order of the file, its time and whether decoding can begin
        there; how many there are with those that aren't shown; and what is lost.
    """
    packets: list[tuple[int | None, bool, bool]] = []
    lost, ends = "", 0.0
    duration = (container.duration or 0) / 1e6
    try:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                ends = max(ends, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index or not packet.size:
                continue
            if packet.is_corrupt:
                lost = "its end is damaged or missing"
            packets.append((packet.pts, packet.is_keyframe, packet.is_discard))
    except (av.FFmpegError, OSError) as error:
        lost = f"reading ends with '{error.strerror}'"
    named = any(name in container.format.name for name in _HAS_DURATION)
    if named and ends < duration - _SLACK_S:
        lost = f"its header says {duration:.1f} s, but it ends after {ends:.1f} s"
    key = next(
        (place for place, (_, key, _) in enumerate(packets) if key), 0
    )  # nothing can be decoded before
    return [(time, key) for time, key, hidden in packets[key:] if not hidden], len(packets), lost


def _decode_all(
    path: Path, rate: Fraction, tick: Fraction
) -> tuple[npt.NDArray[np.int64], list[int], list[str]]:
    damage: list[str] = []
    with open_video(path) as (container, stream):
        facts = [(frame.pts, frame.key_frame) for frame in decoded(container, stream, damage.append)]
    times = [time for time, _ in facts if time is not None]
    if len(times) < len(facts):
        step = 1 / ((rate or Fraction(25)) * tick)
        return np.array([round(number * step) for number in range(len(facts))], np.int64), [], damage
    return np.array(times, np.int64), [time for time, key in facts if key and time is not None], damage


def _mean_rate(times: npt.NDArray[np.int64], tick: Fraction) -> Fraction:
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(25)
    return Fraction(len(times) - 1) / ((int(times[-1]) - int(times[0])) * tick)
