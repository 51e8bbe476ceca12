"""The format ``vidlink.v1.binary``: media as octets behind a fixed header, control as JSON text.

The header is the same in both directions, so that what a Sentinel sends is forwarded as it came;
its layout stands, octet by octet, in ``docs/reference/wire.md``.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from struct import error as StructError

from zope.interface import implementer

from vidlink.errors import BadMessage, Unsendable
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.model import (
    SEQUENCE_LIMIT,
    TIME_LIMIT_US,
    InitSegment,
    Octets,
    Segment,
    is_sentinel_id,
    is_session_id,
)
from vidlink.wire.bounds import BoundedCodec
from vidlink.wire.kinds import excerpt
from vidlink.wire.schema import (
    MAX_SAID_FRAMERATE_MHZ,
    MEDIA_WORDS,
    from_plain,
    to_plain,
    word_of,
)
from vidlink.wire.strictjson import dump_json, load_json

#: Kind, flags, sizes of both ids, duration, sequence, start time, frame rate.
HEADER = Struct("!BBBBIQqI")
INIT = 1
SEGMENT = 2
KEYFRAME = 1
LATE = 2

_HEADER_SIZE = HEADER.size


@implementer(ICodec)
class BinaryCodec(BoundedCodec):
    """``vidlink.v1.binary``."""

    name = "vidlink.v1.binary"
    rank = 0
    is_canonical = True

    def encode(self, message: Message) -> tuple[bytes, bool]:
        """Media as binary frame, everything else as text."""
        if isinstance(message, Segment):
            return _encode_segment(message), True
        if isinstance(message, InitSegment):
            return _encode_init(message), True
        return dump_json(to_plain(message)), False

    def decode(self, payload: bytes | memoryview, is_binary: bool) -> Message:
        """The message in `payload`; `data` of media is a view into it."""
        if not is_binary:
            return _decode_control(load_json(payload, self.max_control_bytes))
        try:
            kind, flags, sentinel_size, session_size, duration, sequence, start, framerate = (
                HEADER.unpack_from(payload)
            )
        except StructError:
            raise BadMessage(
                f"a binary message of {len(payload)} octets is shorter than its header"
            ) from None
        begin = _HEADER_SIZE + sentinel_size + session_size
        if begin >= len(payload):
            raise BadMessage("a binary message ends before its media begin")
        view = payload if type(payload) is memoryview else memoryview(payload)
        sentinel_id, session_id = _ids(bytes(view[_HEADER_SIZE:begin]), sentinel_size)
        data = view[begin:]
        if kind == SEGMENT and flags <= KEYFRAME | LATE:
            if (
                sequence >= SEQUENCE_LIMIT
                or not -TIME_LIMIT_US < start < TIME_LIMIT_US
                or not 0 < framerate <= MAX_SAID_FRAMERATE_MHZ
            ):
                raise BadMessage(_flaw(sequence, start, framerate))
            return Segment(
                sentinel_id,
                session_id,
                sequence,
                start,
                duration,
                framerate,
                flags & KEYFRAME == KEYFRAME,
                data,
                flags & LATE == LATE,
            )
        if kind == INIT and flags in (0, LATE):
            if duration or sequence or start or framerate:
                raise BadMessage("init: its unused fields must be 0")
            return InitSegment(sentinel_id, session_id, data, flags == LATE)
        raise BadMessage(f"there is no binary message of kind {kind} with flags {flags:#04x}")


def _decode_control(plain: object) -> Message:
    word = word_of(plain)
    if word in MEDIA_WORDS:
        raise BadMessage(f"{word} must come in a binary frame")
    return from_plain(plain)


def _encode_segment(segment: Segment) -> bytes:
    sequence, start = segment.sequence, segment.start_time_us
    framerate = segment.framerate_mhz
    sentinel_size, session_size, ids = _id_octets(segment.sentinel_id, segment.session_id)
    _check_data(segment.data)
    if (
        sequence >= SEQUENCE_LIMIT
        or not -TIME_LIMIT_US < start < TIME_LIMIT_US
        or not 0 < framerate <= MAX_SAID_FRAMERATE_MHZ
    ):
        raise Unsendable(_flaw(sequence, start, framerate))
    try:
        header = HEADER.pack(
            SEGMENT,
            (KEYFRAME if segment.is_keyframe else 0) | (LATE if segment.is_late else 0),
            sentinel_size,
            session_size,
            segment.duration_ms,
            sequence,
            start,
            framerate,
        )
    except StructError as error:
        raise Unsendable(f"segment: {error}") from None
    return b"".join((header, ids, segment.data))


def _encode_init(init: InitSegment) -> bytes:
    sentinel_size, session_size, ids = _id_octets(init.sentinel_id, init.session_id)
    _check_data(init.data)
    flags = LATE if init.is_late else 0
    header = HEADER.pack(INIT, flags, sentinel_size, session_size, 0, 0, 0, 0)
    return b"".join((header, ids, init.data))


def _check_data(data: Octets) -> None:
    if not data:
        raise Unsendable("media must be at least one octet")


def _flaw(sequence: int, start: int, framerate: int) -> str:
    """Which of the three is out of its range."""
    if not 0 <= sequence < SEQUENCE_LIMIT:
        return f"segment: sequence must be below {SEQUENCE_LIMIT}, not {excerpt(sequence)}"
    if not -TIME_LIMIT_US < start < TIME_LIMIT_US:
        return f"segment: startTime must be within 2**53, not {excerpt(start)}"
    return f"segment: framerate must be 1 to {MAX_SAID_FRAMERATE_MHZ} mHz, not {excerpt(framerate)}"


# A peer speaks of one session after the other, a server of one for each screen: both caches hold
# what is being said now. Ids are short, so that hostile peers fill a few megabytes at most.
@lru_cache(maxsize=8_192)
def _ids(octets: bytes, sentinel_size: int) -> tuple[str, str]:
    """Both ids of a header; refused ids are not kept."""
    try:
        ids = octets.decode("ascii")
    except UnicodeDecodeError:
        raise BadMessage("the ids of a binary message must be ASCII") from None
    sentinel_id, session_id = ids[:sentinel_size], ids[sentinel_size:]
    if not is_sentinel_id(sentinel_id):
        raise BadMessage(f"sentinelId must not be {excerpt(sentinel_id)}")
    if not is_session_id(session_id):
        raise BadMessage(f"sessionId must not be {excerpt(session_id)}")
    return sentinel_id, session_id


@lru_cache(maxsize=8_192)
def _id_octets(sentinel_id: str, session_id: str) -> tuple[int, int, bytes]:
    """The sizes of both ids, and both in a row."""
    if not is_sentinel_id(sentinel_id):
        raise Unsendable(f"sentinelId must not be {excerpt(sentinel_id)}")
    if not is_session_id(session_id):
        raise Unsendable(f"sessionId must not be {excerpt(session_id)}")
    return len(sentinel_id), len(session_id), (sentinel_id + session_id).encode("ascii")
