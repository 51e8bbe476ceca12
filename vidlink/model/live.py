"""Who is there now: sentinels, what viewers want of them, and what a server takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SentinelState(Enum):
    """The state of a Sentinel: segments come, should come, or cannot."""

    LIVE = "live"
    STALE = "stale"
    OFFLINE = "offline"


class RecordingState(Enum):
    """The state of a Sentinel's recording: all is well, it is in trouble, or there is none."""

    OK = "ok"
    TROUBLE = "trouble"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SentinelStatus:
    """One row of the list of Sentinels.

    `framerate_mhz` is what was last asked of it or, unasked, what it sends; None and
    `last_segment_time_us` None before its first segment.
    """

    sentinel_id: str
    name: str
    group: str
    state: SentinelState
    session_id: str | None
    framerate_mhz: int | None
    last_segment_time_us: int | None
    recording: RecordingState


class Tier(Enum):
    """The part of a stream that a viewer wants."""

    FULL = "full"
    KEYFRAMES = "keyframes"


class SkipReason(Enum):
    """Why segments were not sent to a viewer."""

    LAG = "lag"
    UNDECODABLE = "undecodable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Registration:
    """Who a connected Sentinel says it is."""

    sentinel_id: str
    instance_id: str
    name: str
    group: str
    software: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a server takes from one Sentinel; sent to it when it registers."""

    max_segment_bytes: int = 8 * 1024 * 1024
    max_init_bytes: int = 64 * 1024
    max_sequence_jump: int = 1_000_000
