"""`vidlink watch`, without its process: what is written, and what is said."""

from __future__ import annotations

import io
from typing import Any

import av
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.client.joining import LiveCase
from tests.fmp4.media import encoded
from vidlink.client import Follow, Live, Splice
from vidlink.client.live import connect_to
from vidlink.commands.watch import OTHER_PICTURE, Viewing
from vidlink.dialling.backoff import BackOff
from vidlink.errors import Unreachable
from vidlink.messages import SentinelRegister
from vidlink.model import InitSegment


class ViewingTests(LiveCase):
    """One Sentinel, written out."""

    def setUp(self) -> None:
        """A view that takes all."""
        super().setUp()
        self.clock = Clock()
        self.film = b""
        self.said: list[str] = []
        self.busy: Deferred[None] | None = None

        async def join() -> Live:
            return await connect_to(self.address, self.server.clock)

        followed = Follow("desk-1", join, self.clock, back_off=BackOff(lambda: 0.0))
        self.viewing = Viewing(followed, Splice(), self.write, self.said.append, self.clock.seconds)

    async def write(self, data: bytes) -> None:
        """Take data; wait while the reader is busy."""
        self.film += data
        if self.busy is not None:
            await self.busy

    def view(self) -> Deferred[Any]:
        """Begin."""
        return self.start(self.viewing.run())

    def pictures(self) -> list[float]:
        """The times of all pictures that a player decodes."""
        with av.open(io.BytesIO(self.film), "r") as container:
            return [float(frame.time or 0) for frame in container.decode(video=0)]

    def test_one_film(self) -> None:
        """Over sessions, holes and lost connections, it is one film without a hole in its time,
        and everything that is not in it was said."""
        self.screen.connect()
        self.screen.send(3)
        viewing = self.view()
        self.assertEqual(self.pictures(), [0.0, 0.2, 0.4])
        self.screen.sequence = 5
        self.screen.send(6)
        self.assertIn("7 pictures not shown", self.said[-1])
        self.screen.leave()
        self.assertIn("desk-1 is offline", self.said[-1])
        self.screen.connect("session-000000000002")
        self.screen.send(2)
        self.assertEqual(self.said[-1], "desk-1 is live")
        for link in tuple(self.server.watch.links):
            link.transport.abortConnection()
        self.server.flush()
        self.assertIn("trying again in", self.said[-1])
        self.screen.send(2)
        self.clock.advance(1)
        self.server.flush()
        self.assertEqual(self.said[-1], "desk-1 is live")
        self.assertNoResult(viewing)
        steps = [round(one * 5) for one in self.pictures()]
        self.assertEqual(steps, [*range(8)])
        self.assertEqual(len(self.said), 5)

    def test_never_seen(self) -> None:
        """Of a Sentinel that the server has never seen it says so once, and shows it when it
        comes."""
        self.view()
        (said,) = self.said
        self.assertIn("desk-1 was never seen by the server", said)
        self.assertIn("waiting for it", said)
        self.screen.connect()
        self.screen.send(1)
        self.assertEqual(self.said[1:], ["desk-1 is live"])
        self.assertEqual(len(self.pictures()), 1)

    def test_offline(self) -> None:
        """Of a Sentinel that is offline it says so once, and waits."""
        self.screen.connect()
        self.screen.leave()
        self.view()
        self.assertEqual(self.said, ["desk-1 is offline; waiting for it"])
        self.assertEqual(self.film, b"")
        self.screen.connect("session-000000000002")
        self.screen.send(1)
        self.server.pass_time(1.0)
        self.assertEqual(self.said[1:], ["desk-1 is live"])
        self.assertEqual(len(self.pictures()), 1)

    def test_refused(self) -> None:
        """Of a server that cannot be reached it says why, at once and then once a minute."""

        async def join() -> Live:
            raise Unreachable("nobody listens there")

        followed = Follow("desk-1", join, self.clock, back_off=BackOff(lambda: 0.0))
        self.viewing = Viewing(followed, Splice(), self.write, self.said.append, self.clock.seconds)
        self.view()
        for _ in range(90):
            self.clock.advance(1)
        self.assertEqual(len(self.said), 2)
        self.assertRegex(self.said[0], r"^nobody listens there; trying again in \d")
        self.assertRegex(self.said[1], r"^nobody listens there \(\d+ times more since .*\); trying")

    def test_other_picture(self) -> None:
        """When the picture changes its size, the film ends whole, with a status and a line."""
        self.screen.connect()
        self.screen.send(2)
        viewing = self.view()
        self.screen.leave()
        self.screen.peer = self.server.sentinel()
        session = "session-000000000002"
        self.screen.say(SentinelRegister("desk-1", "one", "test/1", session))
        other = encoded(width=128, height=96).init
        self.screen.say(InitSegment("desk-1", session, other))
        self.screen.session_id, self.screen.sequence = session, 0
        self.screen.send(1)
        self.assertEqual(self.successResultOf(viewing), OTHER_PICTURE)
        self.assertIn("64x48", self.said[-1])
        self.assertEqual(len(self.pictures()), 2)

    def test_slow_reader(self) -> None:
        """While the reader is busy nothing more is taken from the connection."""
        self.screen.connect()
        self.screen.send(1)
        self.busy = Deferred()
        self.view()
        before = len(self.film)
        self.screen.send(5)
        self.assertEqual(len(self.film), before)
        busy, self.busy = self.busy, None
        busy.callback(None)
        self.server.flush()
        self.assertEqual(len(self.pictures()), 6)
