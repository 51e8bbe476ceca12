"""H.264 from pictures: one picture in, one MP4 sample out, at once.

FFmpeg encodes, and its MP4 muxer writes the initialization segment; fragments are
`vidlink.fmp4`'s. Which encoders there are and how each is set up is in `encoders`.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import cast

import av
from av import VideoFrame
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from zope.interface import implementer

from vidlink.errors import CaptureError, NotMedia
from vidlink.fmp4 import (
    IDR,
    PARAMETER_SETS,
    join_avc,
    read_init,
    split_annexb,
    split_avc,
    unit_type,
)
from vidlink.sentinel.capture.roles import IEncoder

#: Ticks a second. The usual clock of video, fine to 11 us, and the same at every frame rate.
TIMESCALE = 90_000

_NOMINAL_RATE = 5
#: The number of BT.709 among colour primaries, transfers and matrices (ITU-T H.273).
_BT709 = 1


def fitted(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]:
    """The size to encode a picture in: within bounds, aspect kept, even, never larger."""
    scale = min(Fraction(1), Fraction(max_width, width), Fraction(max_height, height))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


@implementer(IEncoder)
class H264Encoder:
    """An encoder of FFmpeg's, open for pictures of one size.

    :param name: its name in FFmpeg, such as ``libx264``.
    :param options: its options.
    :param pixel_format: what it takes: ``yuv420p`` or ``nv12``.
    :param source_size: width and height of the pictures that will come.
    :param size: width and height to encode them in.
    :raises CaptureError: if it cannot be opened.
    """

    timescale = TIMESCALE

    def __init__(
        self,
        name: str,
        options: dict[str, str],
        pixel_format: str,
        source_size: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        self.name = name
        self._source_size = source_size
        self._size = size
        self._pixel_format = pixel_format
        self._reformatter = VideoReformatter()
        self._pts = 0
        out = io.BytesIO()
        try:
            # Its own muxer holds each frame back until the next; only its `moov` is of use.
            self._container = av.open(
                out, "w", format="mp4", options={"movflags": "empty_moov+default_base_moof"}
            )
            self._stream = self._add_stream(name, options)
            self._container.start_encoding()
            self.init = out.getvalue()
            read_init(self.init)
        except (FFmpegError, ValueError) as error:
            raise CaptureError(f"the encoder {name} cannot be opened: {error}") from None
        except NotMedia as error:
            raise CaptureError(f"the encoder {name} gives no initialization: {error}") from None
        extradata = self._stream.codec_context.extradata or b""
        self._has_lengths = extradata[:1] == b"\1"

    def _add_stream(self, name: str, options: dict[str, str]) -> VideoStream:
        stream = cast(VideoStream, self._container.add_stream(name, rate=_NOMINAL_RATE))
        stream.width, stream.height = self._size
        stream.pix_fmt = self._pixel_format
        stream.time_base = Fraction(1, TIMESCALE)
        context: VideoCodecContext = stream.codec_context
        context.time_base = Fraction(1, TIMESCALE)
        context.color_range = ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.max_b_frames = 0
        context.options = options
        return stream

    def fits(self, picture: VideoFrame) -> bool:
        """True if `picture` has the size that this encoder was opened for."""
        return (picture.width, picture.height) == self._source_size

    def encode(self, picture: VideoFrame, media_time: int, is_keyframe: bool) -> bytes:
        """Encode one picture, as an IDR if `is_keyframe` (the first is one whatever it says).

        The encoder itself counts pictures, `_NOMINAL_RATE` a second, so that its rate control
        allows each the same however far apart they are; `media_time` may be anything.

        :raises CaptureError: if the picture cannot be converted, or the encoder has failed, holds
            the frame back, makes no keyframe, or has changed the parameters that its initialization
            segment holds.
        """
        frame = self._converted(picture)
        try:
            # The frame may be the source's own, with the type it was decoded as: always set it.
            frame.pts, frame.time_base = self._pts, Fraction(1, TIMESCALE)
            self._pts += TIMESCALE // _NOMINAL_RATE
            frame.pict_type = PictureType.I if is_keyframe else PictureType.NONE
            packets = [bytes(packet) for packet in self._stream.encode(frame)]
            if len(packets) != 1:
                raise CaptureError(f"it gave {len(packets)} packets for one picture")
            units = split_avc(packets[0]) if self._has_lengths else split_annexb(packets[0])
            return sample_of(units, self.init, is_keyframe)
        except (FFmpegError, ValueError, NotMedia, CaptureError) as error:
            raise CaptureError(f"the encoder {self.name} has failed: {error}") from None

    def close(self) -> None:
        """Let go of the encoder."""
        self._container.close()

    def _converted(self, picture: VideoFrame) -> VideoFrame:
        try:
            return self._reformatter.reformat(
                picture,
                *self._size,
                self._pixel_format,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA,
            )
        except (FFmpegError, ValueError) as error:
            raise CaptureError(
                f"pictures of this kind ({picture.format.name}, matrix {picture.colorspace} of "
                f"ITU-T H.273) cannot be converted: {error}"
            ) from None


def sample_of(units: list[bytes], init: bytes, is_keyframe: bool) -> bytes:
    """Make an MP4 sample of the NAL units that an encoder gave for one picture.

    :raises CaptureError: if it was to be a keyframe and is none, or brings other parameters than
        stand in the initialization segment.
    """
    if is_keyframe and IDR not in {unit_type(unit) for unit in units}:
        raise CaptureError("it makes no keyframe when told to")
    if any(unit_type(unit) in PARAMETER_SETS and unit not in init for unit in units):
        raise CaptureError("it has changed its parameters")
    return join_avc(units)
