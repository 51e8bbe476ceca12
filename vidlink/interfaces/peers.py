"""The ends of a connection, and what the conversations on it may ask for.

The live side that they publish to is :mod:`.relay`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from vidlink.errors import PeerError
    from vidlink.messages import Message


class IPeer(Interface):
    """One end of a connection, as the conversation on it sees it."""

    def close(error: PeerError) -> None:
        """Say `error` in band and close with its code. A second call does nothing."""


class ISentinelPeer(IPeer):
    """The server's end of one Sentinel's connection, as its conversation sees it."""

    address = Attribute("""`str`: where it connects from, for people.""")

    def send(message: Message) -> None:
        """Send `message`; does nothing once the connection is closing."""

    def probe(seconds: float) -> Deferred[bool]:
        """Ping the peer; fires with True if it answers within `seconds`. Never fails."""

    def hold(is_held: bool) -> None:
        """Read nothing more of what the peer sends, or read on; TCP slows it down. Nothing happens
        if that was said before. It is not taken for dead meanwhile."""


class IProctorPeer(IPeer):
    """The server's end of one Proctor's connection, as its conversation sees it."""

    def wake() -> None:
        """There is something to pull; at most one flush per reactor turn comes of it."""


class IServerPeer(IPeer):
    """The Sentinel's end of its connection to the server."""

    backlog_bytes = Attribute("""`int`: octets given to :meth:`send` that are not sent yet.""")
    is_idle = Attribute("""`bool`: the system has taken all that was given to :meth:`send`.""")

    def send(message: Message) -> None:
        """Send `message`; does nothing once the connection is closing."""


class ICapture(Interface):
    """The capture thread, as the uplink sees it; every call may come at any time."""

    def begin_session() -> int:
        """Start a session: the next frame is captured at once, is an IDR, has media time 0.

        Returns its epoch: frames of an older epoch belong to an earlier session.
        """

    def request_keyframe() -> None:
        """Capture now, outside the cadence, as an IDR."""

    def set_framerate(framerate_mhz: int) -> None:
        """Capture at this rate (mHz, clamped) from now on; the next frame is an IDR."""


class IPublisher(Interface):
    """A connected Sentinel, as the hub and its viewers see it."""

    registration = Attribute(""":class:`~vidlink.model.Registration`: who it is.""")
    address = Attribute("""`str`: where it connects from, for people.""")

    def request_keyframe() -> None:
        """Ask it for an IDR; requests within a second become one."""

    def change_framerate(framerate_mhz: int) -> None:
        """Ask it for another frame rate (mHz, already clamped); of several within a second the
        last one counts."""

    def replace() -> None:
        """A newer connection takes over: close this one with 4409."""

    def probe(seconds: float) -> Deferred[bool]:
        """Ping it; fires with True if it answers within `seconds`. Never fails."""
