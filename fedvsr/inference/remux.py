"""Putting encoded frames into a file, with all that came beside the frames of the source."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext

from fedvsr.inference.encoding import Chosen, Shape, coded_size, configure
from fedvsr.inference.matroska_aspect import write_aspect
from fedvsr.inference.other_streams import Beside, Taken, described, packets, take
from fedvsr.inference.segments import coded_in, times_in
from fedvsr_core.data.containers import open_video

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_OF_VIDEO = ("language", "title")


def mux(folder: Path, target: Path, chosen: Chosen, shape: Shape, beside: Beside | None) -> list[str]:
    """Write a video file from the segments of a folder.

    Args:
        folder: As `SegmentWriter` filled it.
        target: File to write; its suffix says which kind.
        chosen: The codec.
        shape: What the frames are.
        beside: What else to put into it.

    Returns:
        What of it the file can't hold, in words.

    Raises:
        OSError: If it can't be written.
    """
    taken = _mux(folder, target, chosen, shape, beside)
    if shape.aspect != 1 and target.suffix in (".mkv", ".webm"):
        write_aspect(target, shape.aspect, *coded_size(chosen, shape))
    return taken.left_out


def _mux(folder: Path, target: Path, chosen: Chosen, shape: Shape, beside: Beside | None) -> Taken:
    order = times_in(folder)
    options = {"movflags": "faststart"} if target.suffix in (".mp4", ".mov") else {}
    name = str(target.absolute())
    with av.open(name, "w", format=_FORMATS[target.suffix], container_options=options) as output:
        video = output.add_stream(chosen.codec.encoder, shape.rate)
        configure(cast(VideoCodecContext, video.codec_context), chosen, shape)
        if beside is None:
            _write(output, video, folder, order, shape, iter(()))
            return Taken()
        with open_video(beside.source) as (source, shown):
            taken = take(source, output, beside)
            _describe(source, output, video, shown, beside)
            _write(output, video, folder, order, shape, packets(source, taken, beside))
        return taken


def _write(
    output: OutputContainer,
    video: Stream,
    folder: Path,
    order: npt.NDArray[np.int64],
    shape: Shape,
    others: "Iterator[tuple[float, Packet[Stream]]]",
) -> None:
    """Packets of all streams by their time, so that nothing has to wait in memory."""
    decode = _decode_times(order)
    shown = np.sort(order)
    last = round(1 / (shape.rate * shape.tick))
    lasts = dict(zip(shown.tolist(), [*np.diff(shown).tolist(), max(last, 1)], strict=True))
    waiting = next(others, None)
    for coded, time in zip(coded_in(folder), decode.tolist(), strict=True):
        while waiting is not None and waiting[0] <= time * float(shape.tick):
            output.mux(waiting[1])
            waiting = next(others, None)
        packet = coded.packet(shape.tick)
        packet.dts, packet.duration, packet.stream = time, lasts[coded.time], video
        output.mux(packet)
    while waiting is not None:
        output.mux(waiting[1])
        waiting = next(others, None)


def _decode_times(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """When each frame must be decoded: the times in ascending order, as much earlier as that needs."""
    shown = np.sort(order)
    delay = int((np.arange(len(order)) - np.searchsorted(shown, order)).max(initial=0))
    if not delay:
        return shown
    step = max(int(shown[1] - shown[0]), 1)
    before = shown[0] - step * np.arange(delay, 0, -1)
    return np.concatenate([before, shown[: len(shown) - delay]])


def _describe(
    source: InputContainer, output: OutputContainer, video: Stream, shown: Stream, beside: Beside
) -> None:
    """Title, chapters and the like; those of the stream that was shown."""
    if not beside.chapters:
        return
    output.metadata.update(described(source.metadata))
    video.metadata.update({key: shown.metadata[key] for key in _OF_VIDEO if key in shown.metadata})
    end_s = float("inf") if beside.end_s is None else beside.end_s
    chapters = []
    for chapter in source.chapters():
        tick = chapter["time_base"] or Fraction(1, 1000)
        begin, end = (
            min(max(float(chapter[edge] * tick), beside.begin_s), end_s) - beside.begin_s
            for edge in ("start", "end")
        )
        if end > begin:
            chapters.append(
                {
                    **chapter,
                    "start": round(begin * 1000),
                    "end": round(end * 1000),
                    "time_base": Fraction(1, 1000),
                }
            )
    output.set_chapters(chapters)  # type: ignore[arg-type] # as `chapters` gives them
