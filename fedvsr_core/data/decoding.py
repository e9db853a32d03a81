"""Decoding any run of frames of a video file to RGB, as it is meant to be seen."""

from collections.abc import Iterable, Iterator
from itertools import chain, dropwhile, islice, takewhile
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame

from fedvsr_core.data.containers import decodable, open_video
from fedvsr_core.data.frame_index import FrameIndex, OnDamage, decoded, index_of
from fedvsr_core.errors import DataError

_SOONER_S = (0, 1, 5)
"""How long before a key frame is sought: formats without an index find it by when it is decoded, which is
sooner than when it is shown, and come out behind it."""
_WINDOW = 32
"""Frames below which a run is a window for training, of which many are read."""


def decode(
    path: Path,
    first: int = 0,
    stop: int | None = None,
    *,
    deep: bool = False,
    hdr: bool = False,
    on_damage: OnDamage | None = None,
) -> Iterator[npt.NDArray[Any]]:
    """Decode frames one by one, in constant memory; a run in the middle costs what one at the start costs.

    Matrix and range of the colours are those that the file names, else what ffmpeg takes for them.

    Args:
        path: Video file.
        first: Number of frames to leave out at the start.
        stop: Frame to stop before; None reads to the end.
        deep: Whether frames are uint16 rather than uint8.
        hdr: Whether high dynamic range is read, as it is coded, rather than refused.
        on_damage: Called with each thing that can't be decoded, in words; None: that is an error.

    Yields:
        Frames (H, W, 3), RGB, upright.

    Raises:
        DataError: If the file isn't a video, its colours can't be read right, or a frame can't be decoded.
    """
    index = index_of(path)
    index.shown.check(path, hdr=hdr)
    stop = len(index.times) if stop is None else min(stop, len(index.times))
    if first >= stop:
        return
    look = index.shown
    margin = 1 if look.interlaced else 0  # deinterlacing looks at the frames before and after
    begin = max(first - margin, 0)
    coded = _run(path, index, begin, min(stop + margin, len(index.times)), on_damage)
    seen = _rgb(coded, "rgb48le" if deep else "rgb24", deinterlace=look.interlaced)
    with decodable(path):
        for frame in islice(seen, first - begin, stop - begin):
            image = np.asarray(frame.to_ndarray())
            if look.mirrored:
                image = image[:, ::-1]
            yield np.ascontiguousarray(np.rot90(image, -look.turned // 90))


def _run(
    path: Path, index: FrameIndex, begin: int, end: int, on_damage: OnDamage | None
) -> Iterator[VideoFrame]:
    """The coded frames with some numbers; where seeking lands too late, it is tried from further ahead."""
    start = index.start_before(begin)
    for sooner_s in (*_SOONER_S, None) if start else (None,):
        with open_video(path) as (container, stream):
            stream.thread_type = "SLICE" if end - begin < _WINDOW else "AUTO"  # threads of frames run ahead
            if sooner_s is not None:
                container.seek(int(index.times[start]) - round(sooner_s / index.tick), stream=stream)
            frames = _numbered(decoded(container, stream, on_damage), index)
            frames = dropwhile(
                lambda pair: pair[0] < start and index.start_before(pair[0]) != pair[0], frames
            )
            first = next(frames, None)
            if sooner_s is not None and (first is None or first[0] > start or first[1].is_corrupt):
                continue
            expected, shown = begin, first[1] if first else None
            for number, frame in takewhile(
                lambda pair: pair[0] < end, chain([first] if first else [], frames)
            ):
                if number >= begin:
                    if number != expected and on_damage is None:
                        break
                    for missing in range(expected, number):  # shown is what a player would, a frame twice
                        on_damage(f"frame {missing} can't be decoded")  # type: ignore[misc]
                        yield frame
                    yield frame
                    expected, shown = number + 1, frame
            if expected != end and on_damage is None:
                raise DataError(
                    f"frame {expected} of '{path}' can't be decoded; cut or re-encode the video, or leave"
                    " it out"
                )
            if shown is not None and on_damage is not None:
                for missing in range(expected, end):
                    on_damage(f"frame {missing} can't be decoded")
                    yield shown
            return


def _numbered(frames: Iterable[VideoFrame], index: FrameIndex) -> Iterator[tuple[int, VideoFrame]]:
    if not index.seekable:
        yield from enumerate(frames)
        return
    for frame in frames:
        number = len(index.times) if frame.pts is None else int(np.searchsorted(index.times, frame.pts))
        if number < len(index.times) and index.times[number] == frame.pts:
            yield number, frame


def _rgb(frames: Iterable[VideoFrame], pixels: str, *, deinterlace: bool) -> Iterator[VideoFrame]:
    """One RGB frame for each; those that aren't tagged as interlaced are never deinterlaced."""
    graph: Graph | None = None
    shape = None
    for frame in frames:
        if graph is None or shape != (frame.width, frame.height, frame.format.name):
            yield from _rest(graph)
            graph = _graph(frame, pixels, deinterlace)
            shape = frame.width, frame.height, frame.format.name
        graph.push(frame)
        yield from _ready(graph)
    yield from _rest(graph)


def _graph(frame: VideoFrame, pixels: str, deinterlace: bool) -> Graph:
    """The conversion of ffmpeg: swscale called directly has other defaults for frames of 10 bits."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    bwdif = [graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")] if deinterlace else []
    convert = graph.add("scale", "flags=bicubic"), graph.add("format", f"pix_fmts={pixels}")
    graph.link_nodes(source, *bwdif, *convert, graph.add("buffersink")).configure()
    return graph


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def _rest(graph: Graph | None) -> Iterator[VideoFrame]:
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)
