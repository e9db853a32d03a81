"""What comes along from the source beside its frames: sound, subtitles, covers, attachments."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.video.stream import VideoStream

from fedvsr.inference.subtitles import TextSubtitles, is_text
from fedvsr_core.data.containers import open_video

_OF_THE_FILE = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "handler_name",
    "rotate",
    "vendor_id",
}
"""Metadata that describes the source file rather than what it shows."""
_COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
"""Pictures that players show as covers: how an attachment is called, and its type."""


@dataclass(frozen=True)
class Beside:
    """What is taken from the source beside its frames.

    Attributes:
        source: Video file.
        begin_s: What becomes the time 0, in seconds of the file.
        cut: Whether what comes before is left out.
        end_s: From when on everything is left out; None: nothing is.
        kinds: Kinds of streams to take: ``audio``, ``subtitle``.
        chapters: Whether chapters, covers and metadata are taken.
    """

    source: Path
    begin_s: float
    cut: bool = False
    end_s: float | None = None
    kinds: frozenset[str] = frozenset({"audio", "subtitle"})
    chapters: bool = True


@dataclass
class Taken:
    """Streams of an output that are filled from a source.

    Attributes:
        copies: They, by the number of the stream that each is a copy of.
        texts: Those among them that are written in another form.
        covers: Packets of cover pictures, each in its stream.
        left_out: What the output can't hold, in words.
    """

    copies: dict[int, Stream] = field(default_factory=dict)
    texts: dict[int, TextSubtitles] = field(default_factory=dict)
    covers: list["Packet[Stream]"] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def take(source: InputContainer, output: OutputContainer, beside: Beside) -> Taken:
    """Make room in an output for what comes along.

    Args:
        source: Open, at its start.
        output: Open, nothing is written yet.
        beside: What is wanted.
    """
    taken = Taken()
    for stream in source.streams:
        if stream.discard == Discard.all:  # the titles of chapters, in .mp4 a stream, too
            continue
        if isinstance(stream, AttachmentStream):
            if "matroska" in output.format.name:
                output.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)
            else:
                taken.left_out.append(_name(stream))
        elif stream.type in beside.kinds and (copy := _copy(stream, output, taken)) is not None:
            copy.metadata.update(described(stream.metadata))
            copy.disposition = stream.disposition
            taken.copies[stream.index] = copy
        elif stream.type in beside.kinds or stream.type == "data":
            taken.left_out.append(_name(stream))
    if beside.chapters:
        for cover, data in _covers(source, beside.source):
            _take_cover(cover, data, output, taken)
    return taken


def packets(source: InputContainer, taken: Taken, beside: Beside) -> "Iterator[tuple[float, Packet[Stream]]]":
    """The packets of what comes along with their time from the first frame on, in seconds."""
    yield from ((0.0, packet) for packet in taken.covers)
    if not taken.copies:
        return
    if beside.cut and beside.begin_s > 1:
        source.seek(int((beside.begin_s - 1) * 1_000_000))
    end_s = float("inf") if beside.end_s is None else beside.end_s
    for packet in source.demux([source.streams[index] for index in taken.copies]):
        if packet.pts is None or not packet.size:
            continue
        tick = Fraction(packet.time_base)
        begin, middle = float(packet.pts * tick), float((packet.pts + (packet.duration or 0) / 2) * tick)
        if (beside.cut and middle < beside.begin_s) or middle >= end_s:
            continue
        shift = round(beside.begin_s / tick)
        packet.pts = packet.pts - shift
        if beside.cut and packet.pts < 0 and packet.stream.type == "subtitle":  # what is shown already
            packet.duration, packet.pts = max((packet.duration or 0) + packet.pts, 0), 0
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        index = packet.stream_index
        given = taken.texts[index].written(packet) if index in taken.texts else packet
        if given is not None:
            given.stream = taken.copies[index]
            yield begin - beside.begin_s, given


def described(metadata: dict[str, str]) -> dict[str, str]:
    """What metadata says of what a file shows."""
    return {key: text for key, text in metadata.items() if key.lower() not in _OF_THE_FILE}


def _copy(stream: Stream, output: OutputContainer, taken: Taken) -> Stream | None:
    """A stream for the packets of another one, or for their text; None if there can be none."""
    if _fits(stream, output.format.name):
        return output.add_stream_from_template(stream)
    if not is_text(stream):
        return None
    taken.texts[stream.index] = TextSubtitles(stream, output)
    return taken.texts[stream.index].copy


def _covers(source: InputContainer, path: Path) -> Iterator[tuple[VideoStream, bytes]]:
    """The cover pictures of a file, which are read from it before everything else."""
    covers = {
        stream.index: stream
        for stream in source.streams.video
        if stream.disposition & Disposition.attached_pic and stream.codec_context is not None
    }
    with open_video(path) as (aside, _):
        for packet in islice(aside.demux(), len(covers)):
            if packet.stream_index in covers:
                yield covers[packet.stream_index], bytes(packet)


def _take_cover(cover: VideoStream, data: bytes, output: OutputContainer, taken: Taken) -> None:
    """A cover is a stream of one packet in .mp4 and an attachment in .mkv."""
    known = _COVERS.get(cover.codec_context.name)
    if known is not None and "matroska" in output.format.name:
        name, kind = cover.metadata.get("filename", known[0]), cover.metadata.get("mimetype", known[1])
        output.add_attachment(name, kind, data)
    elif known is not None and output.format.name == "mp4":
        packet: Packet[Stream] = Packet(data)
        packet.stream = output.add_stream_from_template(cover)
        packet.stream.disposition = Disposition.attached_pic
        packet.pts, packet.dts, packet.time_base = 0, 0, Fraction(1, 1000)
        taken.covers.append(packet)
    else:
        taken.left_out.append(f"cover {cover.codec_context.name}")


def _name(stream: Stream) -> str:
    return f"{stream.type} {stream.codec_context.name if stream.codec_context else ''}".strip()


def _fits(stream: Stream, kind: str) -> bool:
    """Whether a kind of file can hold a stream; tried, since muxers only say so when they write."""
    if stream.codec_context is None:
        return False
    try:
        with av.open(BytesIO(), "w", format=kind) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError, OSError):
        return False
    return True
