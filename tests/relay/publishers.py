"""A Sentinel's connection as the hub sees it, that only keeps what it is asked."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vidlink.interfaces import IFollower, IPublisher
from vidlink.model import Registration
from vidlink.relay.stream import Stream


@implementer(IPublisher)
class FakePublisher:
    """It leaves its stream when it is replaced, as a real one does.

    `asked` is what it was told to do, in order; `probes` are answered by the test.
    """

    def __init__(self, instance_id: str = "one", sentinel_id: str = "desk-1") -> None:
        self.registration = Registration(sentinel_id, instance_id, "Desk 1", "office", "test")
        self.address = f"192.0.2.1:{sum(map(ord, instance_id))}"
        self.asked: list[object] = []
        self.probes: list[Deferred[bool]] = []
        self.stream: Stream | None = None

    def seated(self, stream: Stream) -> Stream:
        """It has been given its place."""
        self.stream = stream
        return stream

    def request_keyframe(self) -> None:
        """Keep the wish."""
        self.asked.append("keyframe")

    def change_framerate(self, framerate_mhz: int) -> None:
        """Keep the wish."""
        self.asked.append(framerate_mhz)

    def replace(self) -> None:
        """Go."""
        self.asked.append("replace")
        self.leave("replaced")

    def leave(self, reason: str) -> None:
        """Its connection is over."""
        if self.stream is not None:
            self.stream.end(reason)
            self.stream.detach(self)

    def probe(self, seconds: float) -> Deferred[bool]:
        """An answer that the test gives."""
        self.asked.append(("probe", seconds))
        self.probes.append(Deferred())
        return self.probes[-1]


@implementer(IFollower)
class FakeFollower:
    """It counts how often it was stirred."""

    def __init__(self) -> None:
        self.stirs = 0

    def stirred(self) -> None:
        """Count."""
        self.stirs += 1
