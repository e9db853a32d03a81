"""The shape of pixels in a Matroska file, which PyAV can't write.

FFmpeg's muxer takes it from the stream rather than the codec, and PyAV gives no way to set it there. It goes
into room that the muxer has left, or that of facts which aren't needed. Source: RFC 9559, sections
5.1.4.1.28.14 and 5.1.4.1.28.15 (DisplayWidth, DisplayHeight), 6.2 (CRC-32).
"""

import zlib
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from fedvsr_core.errors import DataError

_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_VOID, _CRC, _UNIT = 0xEC, 0xBF, 0x54B2
_LACING, _DURATION = 0x9C, 0x23E383  # whether frames are packed, the usual time of one: players do without
_WIDTH, _HEIGHT = b"\x54\xb0", b"\x54\xba"
_HEAD = 65536
"""Bytes at the start of a file in which its tracks are described."""


@dataclass(frozen=True)
class _Element:
    """An element by its identifier, where it begins, where its content does, and where that ends."""

    name: int
    begin: int
    content: int
    end: int


def write_aspect(path: Path, aspect: Fraction, height: int, width: int) -> None:
    """Write the shape of the pixels of the first track into a file.

    Args:
        path: A file that FFmpeg wrote, without one.
        aspect: Width of a pixel by its height.
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.

    Raises:
        DataError: If the file isn't laid out as FFmpeg does.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD))
        try:
            segment = _named(head, 0, len(head), _SEGMENT)
            tracks = _named(head, segment.content, len(head), _TRACKS)
            track = _named(head, tracks.content, tracks.end, _TRACK)
            described = _described(head, track, *_shape(aspect, height, width))
        except LookupError as error:
            raise DataError(
                f"'{path}' has no room for the shape of its pixels; write .mp4 instead"
            ) from error
        content = head[tracks.content : track.content] + described + head[track.end : tracks.end]
        if content[0] == _CRC:
            content[2:6] = zlib.crc32(content[6:]).to_bytes(4, "little")
        file.seek(tracks.content)
        file.write(content)


def _described(head: bytearray, track: _Element, width: int, height: int) -> bytes:
    """The content of a track with the size that is shown, as long as before.

    Raises:
        LookupError: If there is no room.
    """
    length = track.end - track.content
    for spare in ((_VOID,), (_VOID, _LACING), (_VOID, _LACING, _DURATION)):
        for digits in (2, 3):
            shown = _value(_WIDTH, width, digits) + _value(_HEIGHT, height, 2)
            content = b""
            for part in _children(head, track):
                if part.name == _VIDEO:
                    facts = (fact for fact in _children(head, part) if fact.name != _UNIT)
                    content += _element(
                        _VIDEO, b"".join(head[fact.begin : fact.end] for fact in facts) + shown
                    )
                elif part.name not in spare:
                    content += head[part.begin : part.end]
            room = length - len(content)
            if room == 0 or room >= 2:  # a void takes two bytes at least
                return content + (_element(_VOID, bytes(room - 2)) if room else b"")
    raise LookupError("room")


def _shape(aspect: Fraction, height: int, width: int) -> tuple[int, int]:
    """Width and height that are shown: exactly in proportion, and about as high as the frames."""
    shown = aspect * width / height
    times = ceil(height / shown.denominator)
    return shown.numerator * times, shown.denominator * times


def _named(data: bytes | bytearray, begin: int, end: int, name: int) -> _Element:
    """The first element of that name between two places."""
    place = begin
    while place < end:
        element = _at(data, place)
        if element.name == name:
            return element
        place = element.end
    raise LookupError(name)


def _children(data: bytes | bytearray, parent: _Element) -> list[_Element]:
    elements, place = [], parent.content
    while place < parent.end:
        elements.append(_at(data, place))
        place = elements[-1].end
    return elements


def _at(data: bytes | bytearray, begin: int) -> _Element:
    name, place = _number(data, begin, marked=True)
    size, content = _number(data, place, marked=False)
    return _Element(name, begin, content, content + size)


def _number(data: bytes | bytearray, place: int, *, marked: bool) -> tuple[int, int]:
    """A number whose first bits say how long it is, with those bits or without, and where it ends."""
    length = 9 - data[place].bit_length()
    value = int.from_bytes(data[place : place + length], "big")
    return (value if marked else value & ((1 << 7 * length) - 1)), place + length


def _value(name: bytes, value: int, length: int) -> bytes:
    return name + bytes([0x80 | length]) + value.to_bytes(length, "big")


def _element(name: int, content: bytes) -> bytes:
    return bytes([name, 0x80 | len(content)]) + content
