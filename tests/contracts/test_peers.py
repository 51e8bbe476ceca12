"""What the server's ends of its connections promise to the conversations on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.joined import Joined
from tests.links.memory import BINARY, MemoryServer
from vidlink.errors import BadMessage, GoingAway
from vidlink.interfaces import IProctorPeer, ISentinelPeer
from vidlink.messages import (
    Clock,
    ErrorMessage,
    KeyframeRequest,
    Message,
    ProctorRegister,
    SentinelRegister,
)

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object

SESSION = "first-session-000"
REGISTER = SentinelRegister("desk-1", "one", "test", SESSION)


class PeerContract(_Case):
    """What both kinds promise; a subclass connects one, registered, in `setUp`."""

    #: The server's end, as the conversation has it.
    peer: Any

    def heard(self) -> list[Message]:
        """What the other end has heard since it registered."""
        raise NotImplementedError

    def close_code(self) -> int | None:
        """The code that the other end was closed with; None while it was not."""
        raise NotImplementedError

    def test_closes(self) -> None:
        """The error is said in band, and the connection closed with its code."""
        self.peer.close(BadMessage("no such thing"))
        self.assertEqual(self.heard(), [ErrorMessage("bad-message", "no such thing")])
        self.assertEqual(self.close_code(), 4400)

    def test_closes_once(self) -> None:
        """The first error stands; a second close does nothing."""
        self.peer.close(GoingAway("bye"))
        self.peer.close(BadMessage("no such thing"))
        self.assertEqual(self.heard(), [ErrorMessage("going-away", "bye")])
        self.assertEqual(self.close_code(), 1001)


class SentinelPeerContract(PeerContract):
    """The promises of `ISentinelPeer`."""

    def answer(self) -> None:
        """The Sentinel answers pings."""
        raise NotImplementedError

    def fall_silent(self) -> None:
        """It does not, for two seconds."""
        raise NotImplementedError

    def vanish(self) -> None:
        """Its connection is lost."""
        raise NotImplementedError

    def test_interface(self) -> None:
        """It has every member, with the right arguments."""
        verifyObject(ISentinelPeer, self.peer)

    def test_sends(self) -> None:
        """What is sent is heard, in order."""
        messages = [KeyframeRequest("desk-1"), Clock(1, 2, 3)]
        for message in messages:
            self.peer.send(message)
        self.assertEqual(self.heard(), messages)

    def test_sends_nothing_after_the_end(self) -> None:
        """Once it is closing, nothing more is sent."""
        self.peer.close(BadMessage("no such thing"))
        self.peer.send(KeyframeRequest("desk-1"))
        self.assertEqual(len(self.heard()), 1)

    def test_probe(self) -> None:
        """A probe says whether the Sentinel answers."""
        alive = self.peer.probe(2.0)
        self.assertNoResult(alive)
        self.answer()
        self.assertIs(self.successResultOf(alive), True)
        dead = self.peer.probe(2.0)
        self.fall_silent()
        self.assertIs(self.successResultOf(dead), False)

    def test_probe_of_the_lost(self) -> None:
        """A Sentinel whose connection is lost does not answer, nor is it asked again."""
        probe = self.peer.probe(2.0)
        self.vanish()
        self.assertIs(self.successResultOf(probe), False)
        self.assertIs(self.successResultOf(self.peer.probe(2.0)), False)

    def test_probe_that_nobody_waits_for(self) -> None:
        """A probe can be cancelled, and its answer does no harm then."""
        probe = self.peer.probe(2.0)
        probe.addErrback(lambda failure: None)
        probe.cancel()
        self.answer()
        self.fall_silent()
        self.assertIsNone(self.close_code())


class ProctorPeerContract(PeerContract):
    """The promises of `IProctorPeer`."""

    def test_interface(self) -> None:
        """It has every member, with the right arguments."""
        verifyObject(IProctorPeer, self.peer)

    def test_wake(self) -> None:
        """Woken once or often, it takes all that there is for it."""
        conversation = self.peer.conversation
        for number in range(3):
            conversation.reply(Clock(number))
            self.peer.wake()
        self.assertEqual(self.heard(), [Clock(0), Clock(1), Clock(2)])

    def test_not_pulled_after_the_end(self) -> None:
        """Once it is closing, nothing more is taken."""
        self.peer.close(BadMessage("no such thing"))
        self.peer.wake()
        self.assertEqual(len(self.heard()), 1)


class FakeSentinelPeerTests(SentinelPeerContract, SynchronousTestCase):
    """The peer without a socket."""

    def setUp(self) -> None:
        """Register."""
        self.peer = MemoryServer().sentinel()
        self.peer.say(REGISTER)
        self.peer.forget()

    def heard(self) -> list[Message]:
        """All of it."""
        return list(self.peer.heard)

    def close_code(self) -> int | None:
        """The error's."""
        return None if self.peer.closed is None else self.peer.closed.close_code

    def answer(self) -> None:
        """Yes."""
        self.peer.answer()

    def fall_silent(self) -> None:
        """No."""
        self.peer.answer(False)

    def vanish(self) -> None:
        """Gone."""
        self.peer.vanish()


class FakeProctorPeerTests(ProctorPeerContract, SynchronousTestCase):
    """The peer without a socket."""

    def setUp(self) -> None:
        """Register."""
        self.peer = MemoryServer().proctor(BINARY)

    def heard(self) -> list[Message]:
        """What can be read."""
        self.peer.read()
        return list(self.peer.heard)

    def close_code(self) -> int | None:
        """The error's."""
        return None if self.peer.closed is None else self.peer.closed.close_code


class SocketCase(SynchronousTestCase):
    """The server's sockets, with an Autobahn peer at the other end."""

    def setUp(self) -> None:
        """Start a server."""
        self.joined = Joined()
        self.client: Any = None

    def register(self, client: Any, message: Message, links: set[Any]) -> Any:
        """Let `client` register; the server's end of it."""
        self.client = client
        client.say(message)
        self.joined.flush()
        client.heard.clear()
        (peer,) = links
        return peer

    def heard(self) -> list[Message]:
        """All of it."""
        self.joined.flush()
        return list(self.client.heard)

    def close_code(self) -> int | None:
        """What stood in the close frame."""
        self.joined.flush()
        return None if self.client.closed is None else self.client.closed[1]


class SocketSentinelPeerTests(SocketCase, SentinelPeerContract):
    """The socket that Sentinels push to."""

    def setUp(self) -> None:
        """Register."""
        super().setUp()
        client = self.joined.sentinel()
        self.peer = self.register(client, REGISTER, self.joined.ingest.links)

    def answer(self) -> None:
        """Autobahn answers pings by itself."""
        self.joined.flush()

    def fall_silent(self) -> None:
        """The time passes, and nothing is delivered."""
        self.joined.clock.advance(2.0)

    def vanish(self) -> None:
        """The server's transport is gone."""
        self.peer.connectionLost(Failure(ConnectionLost()))


class SocketProctorPeerTests(SocketCase, ProctorPeerContract):
    """The socket that Proctors watch on."""

    def setUp(self) -> None:
        """Register."""
        super().setUp()
        client = self.joined.proctor()
        self.peer = self.register(client, ProctorRegister("test"), self.joined.watch.links)
