"""The role of whoever wants to know how an uplink goes; it is played by its log."""

from __future__ import annotations

from typing import Protocol

from vidlink.messages import DeclareGap


class UplinkEvents(Protocol):
    """Told of the conversation as it happens; calls must be short and must not raise."""

    def on_registered(self) -> None:
        """The server has accepted this Sentinel."""

    def on_error(self, code: str, message: str) -> None:
        """The server has said what is wrong."""

    def on_offline(self, seconds: float, load: float) -> None:
        """There has been no server for so long; the spool is so full (0.0 to 1.0). Said once a
        minute."""

    def on_session(self, session_id: str, is_live: bool) -> None:
        """A session has begun, on a connection or without one."""

    def on_dropped(self, count: int, why: str) -> None:
        """So many frames were not sent live, or not at all, since this was last said."""

    def on_asleep(self, seconds: float) -> None:
        """This computer has slept for so long, and the session has a gap there."""

    def on_backfill(self, sessions: int, segments: int) -> None:
        """So many earlier sessions, and segments that the server lacks of them, wait."""

    def on_lost(self, gap: DeclareGap) -> None:
        """The server was told that these are lost."""

    def on_delivered(self, session_id: str, waiting: int) -> None:
        """The server has all there is of an earlier session, and so many wait."""

    def on_refused(self, session_id: str, segments: int) -> None:
        """The server will never take so many segments of a session; they are given up."""

    def on_moved(self, old_id: str, new_id: str) -> None:
        """A session is sealed; what was still held of it is delivered as another one."""

    def on_set_aside(self, session_id: str) -> None:
        """The server closes whenever it is sent this session; it is not offered again."""
