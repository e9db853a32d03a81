"""What a video file says of itself: one probe of its streams, colours, shape and times."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.sidedata.sidedata import SideData, Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fedvsr_core.data.clips import MOST_PIXELS
from fedvsr_core.errors import DataError

PQ, HLG = 16, 18
"""Transfers of high dynamic range, by their numbers in ITU-T H.273, as all colours here."""
_HDR = {PQ: "PQ", HLG: "HLG"}
_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}
"""RGB, BT.709, unspecified, FCC, both BT.601, SMPTE 240M, BT.2020 with non-constant luminance."""
_PROGRESSIVE = 1
_OPTIONS = {"protocol_whitelist": "file"}  # a playlist that is called a video must not fetch anything
_DECODING = {"max_pixels": str(MOST_PIXELS)}  # frames may be larger than the header says


@dataclass(frozen=True)
class Shown:
    """How the frames of a video file are to be shown.

    Attributes:
        height: Pixels, upright.
        width: Pixels, upright.
        turned: Degrees clockwise by which the file asks for its frames to be turned, a multiple of 90.
        mirrored: Whether it asks for them to be mirrored, before that.
        aspect: Width of a pixel by its height, upright.
        bits: Of each channel.
        interlaced: Whether it is tagged so.
        matrix: Number of the matrix; 2: not said, which is read as BT.601, as ffmpeg does.
        primaries: Number of the primaries; 2: not said.
        transfer: Number of the transfer; 2: not said.
        full_range: Whether it has the full range of values.
        alpha: Whether one of its first frames is see-through somewhere, which nobody reads.
        others: Other streams of video, which nobody reads; cover pictures don't count.
    """

    height: int
    width: int
    turned: int = 0
    mirrored: bool = False
    aspect: Fraction = Fraction(1)
    bits: int = 8
    interlaced: bool = False
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False
    alpha: bool = False
    others: int = 0

    @property
    def hdr(self) -> bool:
        """Whether it has a high dynamic range."""
        return self.transfer in _HDR

    def check(self, path: Path, *, hdr: bool = False) -> None:
        """Refuse colours that can't be read right.

        Args:
            path: For the message.
            hdr: Whether high dynamic range may be read, as it is coded.

        Raises:
            DataError: If they can't.
        """
        if self.hdr and not hdr:
            raise DataError(
                f"'{path}' has a high dynamic range ({_HDR[self.transfer]}), which networks here don't know;"
                " convert it to SDR first, or upscale it with --tone-map"
            )
        if self.matrix not in _MATRICES:
            raise DataError(
                f"'{path}' has colours of matrix {self.matrix} (H.273), which can't be read right; convert"
                " it to BT.709 first"
            )

    def notes(self) -> list[str]:
        """What should be known of how it is read."""
        notes = []
        if self.turned:
            notes.append(f"marked as turned by {self.turned} degrees: its frames are read upright")
        if self.mirrored:
            notes.append("marked as mirrored: its frames are read so")
        if self.aspect != 1:
            notes.append(
                f"pixels aren't square ({self.aspect.numerator}:{self.aspect.denominator}): frames are read"
                " as coded"
            )
        if self.interlaced:
            notes.append("interlaced: its frames are deinterlaced (bwdif), one for each two fields")
        if self.alpha:
            notes.append("is see-through in places: its alpha channel is left out")
        if self.others:
            notes.append(f"has {self.others} more streams of video, which are left out")
        return notes


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file, and choose its video: one marked as default, else the largest; never a cover.

    Raises:
        DataError: If there is none.
    """
    if not path.exists():
        raise DataError(f"there is no video file or folder of frames at '{path}'")
    try:
        # An absolute path is never taken for an address, nor a name with % for a numbered series.
        container = av.open(str(path.absolute()), "r", container_options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"expected a video at '{path}', but the file can't be decoded as one") from error
    with container:
        streams = videos_of(container)
        if not streams:
            raise DataError(f"expected a video at '{path}', but the file has none that can be decoded")
        if _area(streams[0]) > MOST_PIXELS:
            size = f"{streams[0].codec_context.width}x{streams[0].codec_context.height}"
            raise DataError(
                f"frames of '{path}' must have at most {MOST_PIXELS} pixels, have {size} by its header;"
                " re-encode it or leave it out"
            )
        streams[0].codec_context.options = _DECODING
        yield container, streams[0]


@contextmanager
def decodable(path: Path) -> Iterator[None]:
    """Say of which file it is what the decoder, its filters or the numbers of a header make impossible.

    Raises:
        DataError: If something does.
    """
    try:
        yield
    except DataError:
        raise
    except (av.FFmpegError, ValueError, ArithmeticError, MemoryError) as error:
        raise DataError(f"'{path}' can't be decoded ({error}); re-encode it or leave it out") from error


def videos_of(container: InputContainer) -> list[VideoStream]:
    """The streams of video that aren't cover pictures, the one to read first."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None
        and stream.codec_context.width
        and stream.codec_context.pix_fmt
        and not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    return sorted(streams, key=lambda stream: (not stream.disposition & Disposition.default, -_area(stream)))


def shown(container: InputContainer, stream: VideoStream, head: Sequence[VideoFrame]) -> Shown:
    """What the first frames, one at least, and their stream say."""
    frame = head[0]
    context = stream.codec_context
    turned, mirrored = _turned(frame)
    aspect = Fraction(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1) or Fraction(1)
    height, width = frame.height, frame.width
    if turned % 180:
        height, width, aspect = width, height, 1 / aspect
    field_order = context.field_order or 0
    return Shown(
        height,
        width,
        turned,
        mirrored,
        aspect,
        bits=max(part.bits for part in frame.format.components),
        interlaced=frame.interlaced_frame or field_order > _PROGRESSIVE,
        matrix=frame.colorspace,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        full_range=frame.color_range == 2 or frame.format.name.startswith("yuvj"),
        alpha=any(_see_through(each) for each in head),
        others=len(videos_of(container)) - 1,
    )


def _see_through(frame: VideoFrame) -> bool:
    if not any(part.is_alpha for part in frame.format.components):
        return False
    return bool(frame.reformat(format="rgba").to_ndarray()[..., 3].min() < 255)


def _area(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height


def _turned(frame: VideoFrame) -> tuple[int, bool]:
    """Degrees clockwise, and whether it is mirrored first, from the display matrix (a b; c d), 16.16 each."""
    entries: Iterable[SideData] = frame.side_data  # type: ignore[assignment] # its stub says str
    data = next((bytes(entry) for entry in entries if entry.type is Type.DISPLAYMATRIX), None)
    if data is None:
        return 0, False
    a, b, _, c, d = (
        int.from_bytes(data[place : place + 4], "little", signed=True) for place in range(0, 20, 4)
    )
    mirrored = a * d - b * c < 0
    if mirrored:  # columns run backwards before it is turned
        a, b = -a, -b
    if abs(a) >= abs(b):
        return (0 if a > 0 else 180), mirrored
    return (90 if b > 0 else 270), mirrored
