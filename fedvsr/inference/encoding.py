"""How frames are encoded: codecs, what each can hold, and colours that every player reads alike."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import CodecContext, Flags
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fedvsr_core.errors import ConfigurationError, DataError

CONTAINERS = {
    ".mp4": ("h264", "h265", "av1"),
    ".mov": ("h264", "h265", "prores"),
    ".mkv": ("h264", "h265", "av1", "ffv1", "prores"),
    ".webm": ("av1",),
}
"""What each kind of file holds, its default first."""
_BT709, _SMPTE170M, _BT2020 = 1, 6, 9
_HD_LINES = 720


@dataclass(frozen=True)
class Codec:
    """A codec and its encoder.

    Attributes:
        encoder: Its name in FFmpeg.
        shallow: Pixel format of 8 bits, or None if it has more.
        deep: Pixel format of 10 bits.
        crf: Default of the option ``crf``, or None if there is none.
        presets: What the option ``preset`` may be; empty if there is none.
        preset: Its default.
        tag: How the stream is called in .mp4 and .mov, where FFmpeg's choice doesn't play everywhere.
        most_crf: Where the scale of ``crf`` ends.
        narrowest: Columns that the encoder needs.
    """

    encoder: str
    shallow: str | None
    deep: str
    crf: int | None = None
    presets: tuple[str, ...] = ()
    preset: str = ""
    tag: str | None = None
    most_crf: int = 51
    narrowest: int = 1


_X26 = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
CODECS = {
    "h264": Codec("libx264", "yuv420p", "yuv420p10le", 14, _X26, "superfast"),
    "h265": Codec("libx265", "yuv420p", "yuv420p10le", 17, _X26, "medium", "hvc1", narrowest=64),
    "av1": Codec("libsvtav1", "yuv420p", "yuv420p10le", 20, tuple(map(str, range(14))), "8", most_crf=63),
    "ffv1": Codec("ffv1", "bgr0", "gbrp10le"),
    "prores": Codec("prores_ks", None, "yuv422p10le", None, ("proxy", "lt", "standard", "hq"), "hq"),
}


@dataclass(frozen=True)
class Encoding:
    """What a person asked for.

    Attributes:
        codec: A key of `CODECS`, or None for the default of the container.
        crf: Quality, smaller is better; None: the codec's default.
        preset: Speed against size, or the profile of ProRes; None: the codec's default.
        bits: 8 or 10; None: as the source, where the codec's default can hold it.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    bits: int | None = None

    def chosen(self, suffix: str, *, source_bits: int) -> "Chosen":
        """Settle what is left open.

        Args:
            suffix: Of the output.
            source_bits: Bits of each channel of the source.

        Raises:
            ConfigurationError: If the container can't hold the codec, or the codec has no such option.
        """
        name = self.codec or CONTAINERS[suffix][0]
        if name not in CODECS:
            raise ConfigurationError(f"there is no codec '{name}'; choose one of {', '.join(CODECS)}")
        if name not in CONTAINERS[suffix]:
            fitting = ", ".join(kind for kind, codecs in CONTAINERS.items() if name in codecs)
            raise ConfigurationError(f"{suffix} can't hold {name}; choose {fitting}, or another --codec")
        codec = CODECS[name]
        if self.crf is not None and (codec.crf is None or not 0 <= self.crf <= codec.most_crf):
            raise ConfigurationError(
                f"codec '{name}' has no crf {self.crf}; "
                + (f"choose one of 0 to {codec.most_crf}" if codec.crf is not None else "leave --crf out")
            )
        if self.preset is not None and self.preset not in codec.presets:
            known = f"choose one of {', '.join(codec.presets)}" if codec.presets else "leave --preset out"
            raise ConfigurationError(f"codec '{name}' has no preset '{self.preset}'; {known}")
        wanted = self.bits or (8 if name == "h264" else min(source_bits, 10))  # browsers play H.264 of 8 bits
        deep = wanted > 8 or codec.shallow is None
        return Chosen(name, codec, self.crf, self.preset, deep=deep)


@dataclass(frozen=True)
class Chosen:
    """A codec with its options.

    Attributes:
        name: Its key in `CODECS`.
        codec: Its facts.
        crf: As for `Encoding`.
        preset: As for `Encoding`.
        deep: Whether it gets 10 bits.
    """

    name: str
    codec: Codec
    crf: int | None
    preset: str | None
    deep: bool

    @property
    def pixels(self) -> str:
        """The pixel format."""
        return self.codec.deep if self.deep or self.codec.shallow is None else self.codec.shallow

    def options(self) -> dict[str, str]:
        """Options of the encoder."""
        options = {}
        if self.codec.crf is not None:
            options["crf"] = str(self.codec.crf if self.crf is None else self.crf)
        if self.codec.presets:
            key = "profile" if self.name == "prores" else "preset"
            options[key] = self.preset or self.codec.preset
        if self.name == "h265":
            options["x265-params"] = "log-level=error"
        if self.name == "ffv1":
            options |= {"level": "3", "slices": "4", "g": "1"}
        return options


@dataclass(frozen=True)
class Shape:
    """What a video is, apart from its pixels.

    Attributes:
        height: Pixels.
        width: Pixels.
        rate: Frames a second, on average.
        tick: Seconds in which times are counted.
        aspect: Width of a pixel by its height.
        primaries: Number of the primaries (H.273); 2: those of its size.
        transfer: Number of the transfer; 2: that of its size.
    """

    height: int
    width: int
    rate: Fraction
    tick: Fraction
    aspect: Fraction = Fraction(1)
    primaries: int = 2
    transfer: int = 2


def configure(context: VideoCodecContext, chosen: Chosen, shape: Shape) -> None:
    """Set up an encoder.

    The matrix is what players take for that size when they don't look (BT.709 from 720 lines, else BT.601),
    and the tags say so.
    """
    context.height, context.width = coded_size(chosen, shape)
    context.pix_fmt = chosen.pixels
    context.time_base, context.framerate = shape.tick, shape.rate
    context.sample_aspect_ratio = shape.aspect
    usual = _BT709 if shape.height >= _HD_LINES else _SMPTE170M
    context.color_primaries = usual if shape.primaries == 2 else shape.primaries
    context.color_trc = usual if shape.transfer == 2 else shape.transfer
    if not _is_rgb(chosen):
        context.colorspace, context.color_range = _matrix(shape), 1
    context.options = chosen.options()
    if chosen.codec.tag:
        context.codec_tag = chosen.codec.tag
    context.flags |= Flags.global_header


def coded_size(chosen: Chosen, shape: Shape) -> tuple[int, int]:
    """Height and width as they are encoded: even where colours are halved."""
    rows = 2 if "420" in chosen.pixels else 1
    columns = 1 if _is_rgb(chosen) else 2
    return shape.height + shape.height % rows, shape.width + shape.width % columns


class Encoder:
    """Encodes frames one by one; the first is always one at which decoding can begin.

    Args:
        chosen: The codec.
        shape: What the frames are.

    Raises:
        DataError: If the encoder can't take them.
    """

    def __init__(self, chosen: Chosen, shape: Shape) -> None:
        self._chosen, self._shape = chosen, shape
        if shape.width < chosen.codec.narrowest:  # x265 writes beyond its memory there
            raise DataError(
                f"{chosen.name} can't encode frames of {shape.width} columns, it needs"
                f" {chosen.codec.narrowest}; choose another --codec"
            )
        self._context = cast(VideoCodecContext, CodecContext.create(chosen.codec.encoder, "w"))
        configure(self._context, chosen, shape)
        self._graph: Graph | None = None
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells all of its settings otherwise
        try:
            self._context.open()
        except (av.FFmpegError, ValueError) as error:
            raise DataError(
                f"{chosen.name} can't encode {shape.width}x{shape.height} frames ({error}); choose"
                " another --codec"
            ) from error

    def encode(self, frame: npt.NDArray[Any], time: int) -> "Iterator[Packet[VideoStream]]":
        """Encode a frame (H, W, 3), RGB of 8 or 16 bits, that is shown at a time in ticks."""
        height, width = coded_size(self._chosen, self._shape)
        rows, columns = height - frame.shape[0], width - frame.shape[1]
        if rows or columns:  # the last ones are repeated
            frame = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge")
        given = VideoFrame.from_numpy_buffer(
            np.ascontiguousarray(frame), format="rgb24" if frame.dtype == np.uint8 else "rgb48le"
        )
        given.pts, given.time_base = time, self._shape.tick
        self._graph = self._graph or self._conversion(given)
        self._graph.push(given)
        converted = self._graph.vpull()
        converted.color_primaries = self._context.color_primaries
        converted.color_trc = self._context.color_trc
        yield from self._context.encode(converted)

    def finish(self) -> "Iterator[Packet[VideoStream]]":
        """What the encoder still holds."""
        yield from self._context.encode(None)

    def _conversion(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._shape.tick
        )
        flags = "flags=bicubic+accurate_rnd+full_chroma_inp"
        if not _is_rgb(self._chosen):
            matrix = {_BT709: "bt709", _SMPTE170M: "smpte170m", _BT2020: "bt2020"}[_matrix(self._shape)]
            flags += f":out_color_matrix={matrix}:out_range=limited"
        scale, pixels = graph.add("scale", flags), graph.add("format", f"pix_fmts={self._chosen.pixels}")
        graph.link_nodes(source, scale, pixels, graph.add("buffersink")).configure()
        return graph


def _matrix(shape: Shape) -> int:
    if shape.primaries == _BT2020:
        return _BT2020
    return _BT709 if shape.height >= _HD_LINES else _SMPTE170M


def _is_rgb(chosen: Chosen) -> bool:
    return chosen.name == "ffv1"
