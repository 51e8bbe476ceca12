"""The signs that the peer of one connection is there, and takes what it is sent.

What comes of the answer, and the sockets, is :mod:`vidlink.server.sockets.link` at the one end and
:mod:`vidlink.sentinel.uplink` at the other.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct
from typing import Any

from vidlink.model import USUAL, Bounds

#: A peer that has said nothing for this long is sent a ping.
PING_SECONDS = 10.0

#: Of Linux's `struct tcp_info`, which only ever grows at its end (tcp(7), linux/tcp.h):
#: tcpi_state, tcpi_unacked, tcpi_bytes_acked and tcpi_notsent_bytes.
_TCP_INFO = Struct("=B23xI92xQ16xI")
#: Of the states (linux/tcp_states.h) those after the peer has closed: TCP_CLOSE and TCP_CLOSE_WAIT.
_LEFT = frozenset({7, 8})


@dataclass(frozen=True, slots=True)
class Uptake:
    """The octets that the peer's system has taken so far, and if more wait in ours.

    Who `has_left` sends nothing more; what it sent before may still be unread.
    """

    taken_bytes: int
    is_behind: bool
    has_left: bool = False


def uptake(transport: Any) -> Uptake | None:
    """The uptake of the connection under `transport`; None where the kernel tells nothing."""
    kernel = getattr(transport, "socket", None)
    if kernel is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        info = kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # A Unix socket, or one that has just been closed.
        return None
    if len(info) < _TCP_INFO.size:
        return None
    state, unacked, taken_bytes, unsent_bytes = _TCP_INFO.unpack(info)
    return Uptake(taken_bytes, bool(unacked or unsent_bytes), state in _LEFT)


class Verdict(Enum):
    """The judgement of a peer, and so what is to be done about it now."""

    FINE = auto()
    #: Send it a ping.
    ASK = auto()
    #: The peer does not answer: it is not there any more.
    SILENT = auto()
    #: The peer is there or not, but takes nothing.
    STUCK = auto()


class Liveness:
    """The memory of what one peer has said and taken.

    A ping waits its turn behind what is sent already. So while the peer goes on taking that,
    however slowly, its answer is not overdue; and while our own buffer is full no ping is sent,
    and it is judged by what it takes alone.

    Of a peer that is held, which is not read, nothing can be heard: it is there as long as its
    system takes the pings. They also tell the peer that we are there, who may wait for an answer
    that it cannot get.

    :param bounds: how long a peer may say nothing after a ping, and how long it may take nothing,
        not one octet, while our buffer is full.
    :param is_held_by_it: True if the peer may hold us: then it takes nothing of what our buffer is
        full of, and is there as long as it says anything.
    """

    def __init__(
        self, now_seconds: float, bounds: Bounds = USUAL, *, is_held_by_it: bool = False
    ) -> None:
        self._pong_seconds = bounds.pong_seconds
        self._stall_seconds = bounds.socket_stall_seconds
        self._is_held_by_it = is_held_by_it
        self._was_held = False
        self._heard_seconds = self._moved_seconds = now_seconds
        self._pinged_seconds: float | None = None
        self._full_seconds: float | None = None
        self._taken_bytes: int | None = None
        self._was_heard = False

    def heard(self) -> None:
        """Something has come from the peer; said for every read, so it costs next to nothing."""
        self._was_heard = True

    def full(self, now_seconds: float) -> None:
        """Our buffer has no room, since now if it had before."""
        if self._full_seconds is None:
            self._full_seconds = now_seconds

    def emptied(self, now_seconds: float) -> None:
        """All that waited in our buffer has been taken from it."""
        self._full_seconds = None
        self._moved_seconds = now_seconds

    def look(
        self, now_seconds: float, see: Callable[[], Uptake | None], is_held: bool = False
    ) -> Verdict:
        """Judge the peer, about once a second; ASK has to be obeyed.

        :param see: tells what it has taken; only asked where what it has said is not enough.
        """
        if self._was_heard and self._full_seconds is None and not is_held:
            self._was_heard = self._was_held = False
            self._heard_seconds, self._pinged_seconds = now_seconds, None
            return Verdict.FINE
        seen = see()
        if seen is not None:
            before, self._taken_bytes = self._taken_bytes, seen.taken_bytes
            waits = seen.is_behind or self._full_seconds is not None
            if waits and before not in (None, seen.taken_bytes):
                self._moved_seconds = now_seconds
        if self._was_heard or (self._was_held and not is_held):
            self._was_heard = False
            self._heard_seconds, self._pinged_seconds = now_seconds, None
        self._was_held = is_held
        if self._full_seconds is not None:
            shown = self._heard_seconds if self._is_held_by_it else self._moved_seconds
            stalled = now_seconds - max(self._full_seconds, self._moved_seconds, shown)
            return Verdict.STUCK if stalled > self._stall_seconds else Verdict.FINE
        if is_held:
            return self._look_at_held(now_seconds, seen)
        if self._pinged_seconds is None:
            if now_seconds - self._heard_seconds < PING_SECONDS:
                return Verdict.FINE
            self._pinged_seconds = now_seconds
            return Verdict.ASK
        waited = now_seconds - max(self._pinged_seconds, self._moved_seconds)
        return Verdict.SILENT if waited > self._pong_seconds else Verdict.FINE

    def _look_at_held(self, now_seconds: float, seen: Uptake | None) -> Verdict:
        if seen is not None and seen.has_left:
            # A ping would break the connection, and what is to be read would be lost.
            return Verdict.FINE
        asked = self._pinged_seconds or self._heard_seconds
        if seen is not None and seen.is_behind and self._pinged_seconds is not None:
            waited = now_seconds - max(asked, self._moved_seconds)
            return Verdict.SILENT if waited > self._pong_seconds else Verdict.FINE
        if now_seconds - asked < PING_SECONDS:
            return Verdict.FINE
        self._pinged_seconds = now_seconds
        return Verdict.ASK
