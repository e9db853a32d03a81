"""Degradation by the codecs that videos on the web went through: H.264, H.265 and AV1 of a whole clip."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, ClassVar, cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from pydantic import Field

from fedvsr_core.data.clips import Frames
from fedvsr_core.data.degradation import Place
from fedvsr_core.errors import DataError

_FPS = 25
_Crf = Annotated[float, Field(ge=0, le=63)]
_CrfTo51 = Annotated[float, Field(ge=0, le=51)]


def codec_version() -> str:
    """The library that encodes and decodes: another version may give other pixels."""
    return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


@dataclass(frozen=True)
class _Codec:
    """A codec of the whole clip, 4:2:0; the parameter is the CRF, larger is worse.

    Attributes:
        crf: Range of the CRF.
        library: What encodes; part of what a stored result depends on.
        narrowest: Columns that the encoder needs.
    """

    crf: tuple[_Crf, _Crf]
    library: str = field(default_factory=codec_version, kw_only=True)
    encoder: ClassVar[str]
    decoder: ClassVar[str]
    options: ClassVar[dict[str, str]]
    reach: ClassVar[None] = None
    grid: ClassVar[int] = 1
    narrowest: ClassVar[int] = 1

    @property
    def range(self) -> tuple[float, float]:
        """Range of the CRF."""
        return self.crf

    def __call__(self, frames: Frames, value: float, place: Place, seed: int) -> Frames:
        """Encode and decode the clip; its last row and column are repeated to a size it can have."""
        height, width = frames.shape[1:3]
        columns = max(width % 2, self.narrowest - width)
        even = np.pad(frames, ((0, 0), (0, height % 2), (0, columns), (0, 0)), mode="edge")
        decoded = np.stack(list(self._decoded(self._encoded(even, round(value)))))
        if decoded.shape != even.shape:
            raise DataError(
                f"{self.encoder} made {len(decoded)} frames of {len(frames)} in clip '{place.clip}'; leave"
                " it out"
            )
        return decoded[:, :height, :width]

    def _encoded(self, frames: Frames, crf: int) -> Iterator[bytes]:
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells all of its settings otherwise
        context = cast(VideoCodecContext, CodecContext.create(self.encoder, "w"))
        context.height, context.width = frames.shape[1:3]
        context.pix_fmt, context.thread_count = "yuv420p", 1
        context.time_base, context.framerate = Fraction(1, _FPS), Fraction(_FPS)
        context.options = {**self.options, "crf": str(crf)}
        for number, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", interpolation="BICUBIC", threads=1)
            frame.pts, frame.time_base = number, Fraction(1, _FPS)
            yield from (bytes(packet) for packet in context.encode(frame))
        yield from (bytes(packet) for packet in context.encode(None))

    def _decoded(self, packets: Iterator[bytes]) -> Iterator[Frames]:
        context = cast(VideoCodecContext, CodecContext.create(self.decoder, "r"))
        context.thread_count = 1
        for packet in (*packets, None):
            for frame in context.decode(None if packet is None else av.Packet(packet)):
                rgb = frame.reformat(format="rgb24", interpolation="BICUBIC", threads=1)
                yield np.asarray(rgb.to_ndarray(), np.uint8)


@dataclass(frozen=True)
class H264(_Codec):
    """H.264 by x264, preset medium; CRF 0 to 51.

    Without ``mbtree``, whose sums differ from one processor to another, and now and then on the same one.
    """

    crf: tuple[_CrfTo51, _CrfTo51]
    encoder = "libx264"
    decoder = "h264"
    options: ClassVar[dict[str, str]] = {"preset": "medium", "x264-params": "mbtree=0"}


@dataclass(frozen=True)
class H265(_Codec):
    """H.265 by x265, preset medium; CRF 0 to 51."""

    crf: tuple[_CrfTo51, _CrfTo51]
    encoder = "libx265"
    decoder = "hevc"
    narrowest = 64  # x265 writes beyond its memory for 34 to 48 columns
    options: ClassVar[dict[str, str]] = {"preset": "medium", "x265-params": "log-level=error:pools=1"}


@dataclass(frozen=True)
class Av1(_Codec):
    """AV1 by SVT-AV1, preset 8; CRF 0 to 63."""

    encoder = "libsvtav1"
    decoder = "libdav1d"
    options: ClassVar[dict[str, str]] = {"preset": "8", "svtav1-params": "lp=1"}
