"""WebSocket frames at the least cost: those that screens send, and those that proctors are sent.

A screen's frames are made once, by the codec and the fragment writer that every Sentinel has, and
of each only the numbers and times are written anew. The mask is four octets of 0, so that masking
is nothing to do (RFC 6455 section 5.3 wants masks that nobody foresees for the sake of proxies
that take what somebody else has written for a request; nobody else writes here).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from vidlink.fmp4 import layout, write_fragment
from vidlink.fmp4.ntp import ntp_from_us
from vidlink.loadtest.film import Film
from vidlink.model import Segment
from vidlink.wire.binary import HEADER, SEGMENT, BinaryCodec
from vidlink.wire.framing import server_frame

_MASKED, _MASK = 0x80, bytes(4)
_WHOLE_BINARY = 0x82
#: The longest header of a frame from a server.
_LONGEST = 10
#: Numbers that are written anew: sequence and start time; NTP and media time; both again.
_STAMP, _PRODUCED = Struct("!Qq"), Struct("!IIQ")
_SEQUENCE, _MEDIA_TIME = Struct("!I"), Struct("!Q")
_STAMP_AT = Struct("!BBBBI").size
_PRODUCED_AT = Struct(">QII").size
_SEQUENCE_AT = layout.PRFT.size + Struct(">QQI").size
_MEDIA_TIME_AT = layout.PRFT.size + Struct(">QQIIQQIIQI").size


def client_frame(payload: bytes) -> bytes:
    """`payload` as one whole binary message from a client."""
    plain = server_frame(payload, is_binary=True)
    head = len(plain) - len(payload)
    return b"".join((plain[:1], bytes((plain[1] | _MASKED,)), plain[2:head], _MASK, payload))


class ScreenFrames:
    """The frames of one session that shows `film` over and over."""

    def __init__(self, sentinel_id: str, session_id: str, film: Film, framerate_mhz: int) -> None:
        self._film = film
        self._said = (sentinel_id, session_id, framerate_mhz)
        # From the end of what stands before the sample back to the header of the message.
        self._header_back = layout.WHOLE.size + len(sentinel_id) + len(session_id) + HEADER.size
        self._heads: dict[int, bytearray] = {}

    def frame(
        self, place: int, sequence: int, time_us: int, media_time: int
    ) -> tuple[bytes, bytes]:
        """The frame of WebSocket with this frame of the film, in two pieces."""
        head = self._heads.get(place)
        if head is None:
            head = self._heads[place] = self._head(place)
        media = len(head) - layout.WHOLE.size
        _STAMP.pack_into(head, len(head) - self._header_back + _STAMP_AT, sequence, time_us)
        _PRODUCED.pack_into(head, media + _PRODUCED_AT, *ntp_from_us(time_us), media_time)
        _SEQUENCE.pack_into(head, media + _SEQUENCE_AT, sequence)
        _MEDIA_TIME.pack_into(head, media + _MEDIA_TIME_AT, media_time)
        return bytes(head), self._film.samples[place]

    def _head(self, place: int) -> bytearray:
        """All that stands before the sample in the frame of WebSocket."""
        sentinel_id, session_id, framerate_mhz = self._said
        sample, timescale = self._film.samples[place], self._film.timescale
        media = write_fragment(
            sequence=0,
            decode_time=0,
            duration=timescale * 1_000 // framerate_mhz,
            keyframe=place == 0,
            data=sample,
            producer_time_us=0,
        )
        duration_ms = 1_000_000 // framerate_mhz
        segment = Segment(
            sentinel_id, session_id, 0, 0, duration_ms, framerate_mhz, place == 0, media
        )
        payload, _ = BinaryCodec().encode(segment)
        return bytearray(client_frame(payload)[: -len(sample)])


class Cutter:
    """The octets that a server sends, cut into frames; the media in them are counted and not kept.

    :param on_segment: takes sequence and start time of a segment, and the octets of its message,
        when the last one of them has come.
    :param on_other: takes any other frame, whole.

    Bound: of a frame that is no segment what has come of it, so what the server sends.
    """

    def __init__(
        self, on_segment: Callable[[int, int, int], None], on_other: Callable[[bytes], None]
    ) -> None:
        self._on_segment = on_segment
        self._on_other = on_other
        self._begun = b""
        self._left_bytes = 0
        self._coming = (0, 0, 0)

    def feed(self, data: bytes) -> None:
        """Take the octets of one read."""
        at = 0
        if self._left_bytes:
            at = min(self._left_bytes, len(data))
            self._left_bytes -= at
            if not self._left_bytes:
                self._on_segment(*self._coming)
        if self._begun:
            data, at, self._begun = self._begun + data[at:], 0, b""
        while (begin := _payload_at(data, at)) is not None:
            size = _size(data, at)
            end = begin + size
            if data[at] == _WHOLE_BINARY and size > HEADER.size:
                if len(data) < begin + HEADER.size:
                    break
                kind, *_, sequence, time_us, _ = HEADER.unpack_from(data, begin)
                if kind == SEGMENT:
                    self._coming = (sequence, time_us, size)
                    if end > len(data):
                        self._left_bytes = end - len(data)
                        return
                    self._on_segment(*self._coming)
                    at = end
                    continue
            if end > len(data):
                break
            self._on_other(data[at:end])
            at = end
        self._begun = data[at:]


def _payload_at(data: bytes, at: int) -> int | None:
    """The place of the payload of the frame that begins there; None: its header is not whole."""
    if len(data) < at + 2:
        return None
    size = data[at + 1]
    begin = at + (2 if size < 126 else 4 if size == 126 else _LONGEST)
    return begin if begin <= len(data) else None


def _size(data: bytes, at: int) -> int:
    """The size of the payload of the frame that begins there."""
    size = data[at + 1]
    if size < 126:
        return size
    return int.from_bytes(data[at + 2 : at + (4 if size == 126 else _LONGEST)], "big")
