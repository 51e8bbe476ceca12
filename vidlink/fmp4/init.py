"""The initialization segment: what kind of media a session carries.

Only what the server, the store and the page need is read; the boxes of the frames themselves
are in `read`.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from vidlink.errors import NotMedia
from vidlink.fmp4.boxes import Box, field, iter_boxes, only_child
from vidlink.model import Octets

_U32 = Struct(">I")
_SIZE = Struct(">HH")
_DEFAULTS = Struct(">IIIIII")
_AVC_CONFIGURATION = Struct(">BBBB")
_BESIDE_MOOV = frozenset((b"free", b"skip", b"uuid"))
_ENTRY_KINDS = frozenset((b"avc1", b"avc3"))
_VISUAL_SAMPLE_ENTRY_BYTES = 78


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The one track of an initialization segment.

    `codec` is the RFC 6381 name as read from `avcC`, `width` and `height` are in pixels,
    `timescale` in units a second; durations are in that timescale. The defaults are those of
    `trex`, the last resort for a fragment that does not say for itself.
    """

    codec: str
    width: int
    height: int
    timescale: int
    track_id: int
    default_sample_duration: int
    default_sample_flags: int
    default_sample_size_bytes: int = 0

    @property
    def mime(self) -> str:
        """The media type, as `MediaSource.isTypeSupported` wants to know it."""
        return f'video/mp4; codecs="{self.codec}"'


def read_init(data: Octets) -> MediaInfo:
    """Read an initialization segment: `ftyp`, then `moov` with exactly one H.264 track.

    :raises NotMedia: if it is anything else; the text says what is wrong.
    """
    moov = find_moov(data)
    mdia, track_id, timescale = read_track(data, only_child(data, moov, b"trak"))
    entry = _sample_entry(data, mdia)
    width, height = field(data, entry, _SIZE, 24)
    if not width or not height:
        raise NotMedia("its picture has no size")
    duration, size, flags = _defaults(data, moov, track_id)
    codec = _codec(data, entry)
    return MediaInfo(codec, width, height, timescale, track_id, duration, flags, size)


def sample_description(data: Octets) -> bytes:
    """The `stsd` of an initialization segment: all that a decoder is set up with.

    :raises NotMedia: if it is none that `read_init` takes.
    """
    read_init(data)
    mdia = only_child(data, only_child(data, find_moov(data), b"trak"), b"mdia")
    stbl = only_child(data, only_child(data, mdia, b"minf"), b"stbl")
    stsd = only_child(data, stbl, b"stsd")
    return bytes(data[stsd.start : stsd.end])


def read_track(data: Octets, trak: Box) -> tuple[Box, int, int]:
    """The `mdia` of a video track, its number, and its ticks a second."""
    mdia = only_child(data, trak, b"mdia")
    timescale = _timescale(data, only_child(data, mdia, b"mdhd"))
    if field(data, only_child(data, mdia, b"hdlr"), _U32, 8)[0] != int.from_bytes(b"vide", "big"):
        raise NotMedia("its track is not a video track")
    return mdia, _track_id(data, only_child(data, trak, b"tkhd")), timescale


def find_moov(data: Octets) -> Box:
    """The `moov` of an initialization segment."""
    boxes = list(iter_boxes(data))
    if not boxes or boxes[0].kind != b"ftyp":
        raise NotMedia("an initialization segment begins with ftyp")
    found = [box for box in boxes[1:] if box.kind not in _BESIDE_MOOV]
    if len(found) != 1 or found[0].kind != b"moov":
        raise NotMedia("an initialization segment is ftyp and one moov, without frames")
    if _U32.unpack_from(data, boxes[-1].start)[0] == 0:
        raise NotMedia("its last box has no end, so nothing could follow it")
    return found[0]


def _timescale(data: Octets, mdhd: Box) -> int:
    (version,) = field(data, mdhd, _U32)
    (timescale,) = field(data, mdhd, _U32, 20 if version >> 24 else 12)
    if not timescale:
        raise NotMedia("its timescale is 0")
    return timescale


def _track_id(data: Octets, tkhd: Box) -> int:
    (version,) = field(data, tkhd, _U32)
    (track_id,) = field(data, tkhd, _U32, 20 if version >> 24 else 12)
    if not track_id:
        raise NotMedia("its track has the number 0")
    return track_id


def _sample_entry(data: Octets, mdia: Box) -> Box:
    stbl = only_child(data, only_child(data, mdia, b"minf"), b"stbl")
    stsd = only_child(data, stbl, b"stsd")
    field(data, stsd, _U32, 4)
    entries = list(iter_boxes(data, stsd.body + 8, stsd.end))
    if len(entries) != 1 or entries[0].kind not in _ENTRY_KINDS:
        raise NotMedia("its video is not H.264 (one avc1 or avc3 sample entry)")
    return entries[0]


def _codec(data: Octets, entry: Box) -> str:
    configuration = only_child(data, entry, b"avcC", _VISUAL_SAMPLE_ENTRY_BYTES)
    version, profile, constraints, level = field(data, configuration, _AVC_CONFIGURATION)
    if version != 1:
        raise NotMedia(f"its avcC has the unknown version {version}")
    return f"{entry.kind.decode('ascii')}.{profile:02X}{constraints:02X}{level:02X}"


def _defaults(data: Octets, moov: Box, track_id: int) -> tuple[int, int, int]:
    """The default sample duration, size and flags of the track, from `mvex`/`trex` (8.8.3)."""
    trex = only_child(data, only_child(data, moov, b"mvex"), b"trex")
    _, track, _, duration, size, flags = field(data, trex, _DEFAULTS)
    if track != track_id:
        raise NotMedia("its trex is for another track")
    return duration, size, flags
