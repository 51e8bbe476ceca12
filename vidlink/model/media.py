"""Media on their way: initialization segments, segments, frames, and bounds of their numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Octets of media: a view is kept where it spares a copy of what came from the wire.
Octets = bytes | memoryview
SENTINEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
#: Sequences stay below this in every format, because ``mfhd`` carries 32 bits.
SEQUENCE_LIMIT = 2**32
#: Integers beyond are not exact in every JSON reader (RFC 8259 section 6).
EXACT_LIMIT = 2**53
#: All times, also those of ends, are nearer to the epoch.
TIME_LIMIT_US = EXACT_LIMIT
#: A clock that is no further off than this counts as right.
CLOCK_SLACK_US = 300 * 1_000_000
#: The rates that a Sentinel captures at: 0.2 to 5 frames a second.
MIN_FRAMERATE_MHZ = 200
MAX_FRAMERATE_MHZ = 5_000


def is_sentinel_id(text: str) -> bool:
    """True if `text` may name a Sentinel."""
    return SENTINEL_ID.fullmatch(text) is not None


def is_session_id(text: str) -> bool:
    """True if `text` may name a session."""
    return SESSION_ID.fullmatch(text) is not None


def clamp_framerate(framerate_mhz: int) -> int:
    """The nearest frame rate that a Sentinel captures at, in mHz."""
    return max(MIN_FRAMERATE_MHZ, min(MAX_FRAMERATE_MHZ, framerate_mhz))


@dataclass(frozen=True, slots=True)
class InitSegment:
    """The initialization segment (``ftyp`` + ``moov``) of one session."""

    sentinel_id: str
    session_id: str
    data: Octets
    is_late: bool = False


# Not frozen, though nobody changes one: Python takes five times as long to make what is, and one of
# these is made for every segment, as of the next and of `FragmentInfo`.
@dataclass(slots=True)
class Segment:
    """One media segment (``moof`` + ``mdat``) with what its sender says of it."""

    sentinel_id: str
    session_id: str
    sequence: int
    start_time_us: int
    duration_ms: int
    framerate_mhz: int
    is_keyframe: bool
    data: Octets
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One captured frame on its way from the capture thread to the uplink.

    `epoch` counts the sessions of the capture; `media_time` (from 0 in each epoch) and
    `duration` (nominal) are in the timescale of the initialization segment; `start_time_us` is
    this machine's wall clock at capture; `data` are length-prefixed NAL units
    (ISO/IEC 14496-15). `slept_us` is how long this machine had slept until then, since whenever.
    """

    epoch: int
    media_time: int
    start_time_us: int
    duration: int
    duration_ms: int
    is_keyframe: bool
    framerate_mhz: int
    data: bytes
    slept_us: int = 0


#: One outgoing WebSocket frame with its header (RFC 6455 section 5.2): built once, and shared by
#: all viewers of one format.
Frame = bytes


@dataclass(slots=True, eq=False)
class Arrival:
    """A segment as the server took it: checked against its boxes, and stamped.

    `media_time` (``tfdt``) and `media_duration` count in the session's timescale;
    `arrived_seconds` is the server's monotonic clock, `received_time_us` its wall clock.
    `is_undecodable` says that a sequence jump lies between this segment and the keyframe it
    builds on. While a memory buffer holds it, `frame` is what it came as, if it may be forwarded
    so, to viewers of the subprotocol `spoken`, and `encoded` what was made of it for others, by
    subprotocol. `sample_offset` is where its one frame begins that lies up to its end and is shown
    when it is decoded; 0: that is not known.
    `is_time_corrected` says that its start time follows from its media time, because what its
    sender said cannot be; `is_misplaced` that its media time is not between those of the segments
    before and after it.
    """

    segment: Segment
    media_time: int
    media_duration: int
    arrived_seconds: float
    received_time_us: int
    is_undecodable: bool = False
    frame: Frame | None = None
    spoken: str = ""
    sample_offset: int = 0
    is_time_corrected: bool = False
    is_misplaced: bool = False
    encoded: dict[str, Frame] | None = None

    def frame_for(self, subprotocol: str) -> Frame | None:
        """The frame of it for viewers of `subprotocol`; None: there is none yet."""
        if subprotocol == self.spoken:
            return self.frame
        return None if self.encoded is None else self.encoded.get(subprotocol)
