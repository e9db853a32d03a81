"""Text subtitles in the form that a kind of file holds."""

import logging
from typing import cast

from av import FFmpegError
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

_FORMS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
"""What each kind of file holds, by the names of FFmpeg's muxers and encoders."""

_log = logging.getLogger(__name__)


class TextSubtitles:
    """One stream of text subtitles, written anew; of what styled ones say, the form keeps what it knows.

    Args:
        source: The stream; see `is_text`.
        output: The file that they go to.

    Attributes:
        copy: The stream in that file.
    """

    def __init__(self, source: Stream, output: OutputContainer) -> None:
        self._decoder = cast(SubtitleCodecContext, source.codec_context)
        self._decoder.open(strict=False)
        self.copy = cast(SubtitleStream, output.add_stream(_FORMS[output.format.name]))
        self._encoder = self.copy.codec_context
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self._damaged = False

    def written(self, packet: "Packet[Stream]") -> "Packet[Stream] | None":
        """A packet of the source in the other form, at the same time.

        None if it shows nothing, or can't be read; the first of these is said in the log.
        """
        try:
            subtitle = self._decoder.decode2(cast("Packet[SubtitleStream]", packet))
            if not subtitle:
                return None
            anew: Packet[Stream] = Packet(bytes(self._encoder.encode_subtitle(subtitle)))
        except (FFmpegError, UnicodeError) as error:
            if not self._damaged:
                _log.warning("subtitles that can't be read are left out: %s", error)
            self._damaged = True
            return None
        anew.pts, anew.duration, anew.time_base = packet.pts, packet.duration, packet.time_base
        return anew


def is_text(stream: Stream) -> bool:
    """Whether a stream holds subtitles as text, which can be written anew, rather than as pictures."""
    context = stream.codec_context
    return stream.type == "subtitle" and context is not None and context.codec.text_sub
