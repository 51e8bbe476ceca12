"""What is left of a connection that is over, before anything is collected."""

from __future__ import annotations

import gc
from base64 import b64encode
from collections import Counter

from twisted.logger import Logger, LogPublisher

from tests.fakes import media
from tests.server.api.histories import GATE, NOW_US
from tests.server.port.closed import ClosedCase, Speaker
from vidlink.links.ingest.conversation import Ingest
from vidlink.links.watch.conversation import Watch
from vidlink.links.watch.subscription import Subscription
from vidlink.server.port.channel import Channel
from vidlink.server.port.site import Request
from vidlink.server.sockets.link import LinkProtocol

OURS = (Channel, Request, LinkProtocol, Ingest, Watch, Subscription)


class LetGoTests(ClosedCase):
    """Connections of each kind, while the collector does not run."""

    def setUp(self) -> None:
        """Nobody is there, and nothing is collected."""
        super().setUp()
        for kind in (Channel, LinkProtocol):
            # Until logging has begun, Twisted keeps what was said, and who said it.
            self.patch(kind, "_log", Logger(observer=LogPublisher()))
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.before = {id(one): one for one in gc.get_objects() if isinstance(one, OURS)}

    def ours(self) -> Counter[str]:
        """So many objects of each kind that a connection is made of, since then."""
        found = (one for one in gc.get_objects() if isinstance(one, OURS))
        return Counter(type(one).__name__ for one in found if id(one) not in self.before)

    def vanish(self) -> None:
        """All connections are lost; as Twisted's own, their ends let go of the protocols."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.vanish()
            connection.protocol = None
        self.clock.advance(5)

    def send(self, speaker: Speaker, kind: str, data: bytes, **named: object) -> None:
        """A Sentinel sends media."""
        session = f"session-of-test-{self._spares:04d}"
        text = b64encode(data).decode()
        speaker.say(type=kind, sentinelId="cam", sessionId=session, data=text, **named)

    def test_sentinel(self) -> None:
        """Of a Sentinel that has recorded a session nothing is left in memory when it is gone."""
        speaker = self.sentinel("cam")
        self.send(speaker, "init", media.init_segment())
        for sequence in range(3):
            self.send(
                speaker,
                "segment",
                media.segment(sequence),
                sequence=sequence,
                startTime=NOW_US,
                duration=media.FRAME_MS,
                framerate=5.0,
                keyframe=sequence == 0,
            )
        stream = self.hub.stream("cam")
        assert stream is not None
        assert stream.live is not None
        self.assertEqual(stream.live.buffer.newest_sequence, 2)
        self.assertEqual(self.ours()["Ingest"], 1)
        self.assertEqual(self.ours()["Channel"], 0)
        del speaker
        self.vanish()
        self.assertEqual(self.ours(), Counter())

    def test_proctor(self) -> None:
        """Nor of a Proctor that was following a Sentinel, and one that nobody knows."""
        speaker = self.proctor("proctor of all")
        for name in (GATE.sentinel_id, "nobody"):
            speaker.say(type="subscribe", sentinelId=name)
        self.assertEqual(len(speaker.heard_of("subscribed")), 2)
        self.assertEqual(self.ours()["Subscription"], 2)
        self.assertEqual(self.ours()["Channel"], 0)
        del speaker
        self.vanish()
        self.assertEqual(self.ours(), Counter())

    def test_silent(self) -> None:
        """Nor of those that are upgraded and say nothing, are refused, ask for the page, or send
        half of a request."""
        for name in ("proctor of all", "stranger"):
            self.dial("/ws/proctor", self.shown[name])
        self.connect("GET", "/", {})
        self.connect("GET", "/api/v1/sentinels", self.shown["stranger"])
        self.connect("GET /", "", {})
        self.assertGreater(sum(self.ours().values()), 2)
        self.vanish()
        self.assertEqual(self.ours(), Counter())
