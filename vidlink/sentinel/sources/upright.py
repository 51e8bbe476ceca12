"""Pictures as people are to see them: upright, with pixels that are squares, and colours that say
how they are meant.

What is recorded says nothing of its shape, and not every player would ask. Colours are converted by
:mod:`vidlink.sentinel.capture.encoder`.
"""

from __future__ import annotations

import struct
from fractions import Fraction

from av import VideoFrame
from av.error import FFmpegError
from av.filter import Graph
from av.sidedata.sidedata import SideData, Type
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from vidlink.errors import CaptureError

#: No side becomes longer, whatever a file says of the shape of its pixels.
LONGEST = 16_384
#: Coded pictures that do not say how their colours are meant are BT.709 from this height on, else
#: BT.601, as players have it.
LARGE_HEIGHT = 720
#: FFmpeg's names for pictures that were never coded. FFmpeg and cameras mean BT.601 by them, where
#: do not say.
RAW = ("rawvideo", "wrapped_avframe")
_UNSPECIFIED = 2
#: FFmpeg's names for the ways to exchange the axes: by the sign with which columns become rows, and
#: rows columns.
_TRANSPOSED = {
    (1, 1): "cclock_flip",
    (1, -1): "clock",
    (-1, 1): "cclock",
    (-1, -1): "clock_flip",
}

_Filters = tuple[tuple[str, str], ...]


class Upright:
    """The pictures of one open input, turned, mirrored and stretched as its metadata says.

    :param is_raw: they were never coded.
    """

    def __init__(self, stream: VideoStream, *, is_raw: bool = False) -> None:
        self._aspect = stream.sample_aspect_ratio or Fraction(1)
        self._is_raw = is_raw
        self._key: object = None
        self._graph: Graph | None = None

    def of(self, picture: VideoFrame) -> VideoFrame:
        """`picture` as it is to be seen; itself, if it is of the right shape.

        :raises CaptureError: if FFmpeg cannot do it.
        """
        picture.colorspace = self._colorspace(picture)
        filters = (*stretching(picture.width, picture.height, self._aspect), *turning(picture))
        if not filters:
            return picture
        shape = picture.width, picture.height, picture.format.name
        key = *shape, picture.colorspace, picture.color_range, filters
        try:
            if self._graph is None or key != self._key:
                self._graph, self._key = _made(picture, filters), key
            self._graph.vpush(picture)
            return self._graph.vpull()
        except (FFmpegError, ValueError) as error:
            self._graph = None
            raise CaptureError(f"its pictures cannot be turned or stretched: {error}") from None

    def _colorspace(self, picture: VideoFrame) -> int:
        if picture.colorspace != _UNSPECIFIED or picture.format.is_rgb:
            return picture.colorspace
        is_small = self._is_raw or picture.height < LARGE_HEIGHT
        return Colorspace.SMPTE170M if is_small else Colorspace.ITU709


def stretching(width: int, height: int, aspect: Fraction) -> _Filters:
    """The filters that make squares of pixels of this aspect: the short side becomes longer."""
    if aspect == 1 or aspect <= 0:
        return ()
    if aspect > 1:
        width = min(round(width * aspect), LONGEST)
    else:
        height = min(round(height / aspect), LONGEST)
    return (("scale", f"{width}:{height}:flags=bicubic"), ("setsar", "1"))


def turning(picture: VideoFrame) -> _Filters:
    """The filters for the matrix that says how a picture is to be shown (ISO/IEC 14496-12).

    Of an angle in between the nearest right one is taken.
    """
    matrix = picture.side_data.get(Type.DISPLAYMATRIX.name)
    if not isinstance(matrix, SideData):
        return ()
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return (("transpose", _TRANSPOSED[1 if b > 0 else -1, 1 if c > 0 else -1]),)
    return tuple((name, "") for name, way in (("hflip", a), ("vflip", d)) if way < 0)


def _made(picture: VideoFrame, filters: _Filters) -> Graph:
    graph = Graph()
    graph.threads = 1
    # PyAV's own way to add one says nothing of colours, and filters would convert them.
    described = {
        "video_size": f"{picture.width}x{picture.height}",
        "pix_fmt": picture.format.name,
        "time_base": "1/90000",
        "colorspace": str(int(picture.colorspace)),
        "range": str(int(picture.color_range)),
    }
    nodes = [graph.add("buffer", ":".join(f"{name}={text}" for name, text in described.items()))]
    nodes += [graph.add(name, options or None) for name, options in filters]
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes).configure()
    return graph
