"""Tests of :mod:`vidlink.server.port.lobby`, alone and in a whole site."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as Connecting
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from tests.server.port.test_door import Turns
from tests.server.port.test_site import HANDSHAKE, HOST, SiteCase, get
from tests.server.sockets.opened import Connection
from vidlink.server.port import channel
from vidlink.server.port.channel import may_have_asked
from vidlink.server.port.lobby import QUIET_SECONDS, Lobby, place_of
from vidlink.server.port.site import Site


def at(number: int) -> IPv4Address:
    """An address of its own for each number."""
    return IPv4Address("TCP", f"10.0.{number >> 8}.{number & 255}", 31337)


class Guest:
    """A connection that remembers that it was turned away."""

    is_away = False

    def turn_away(self) -> None:
        """Remember it."""
        self.is_away = True


class Port:
    """A listening port, as far as a lobby looks at it."""

    numberAccepts = 100

    def connection(self, number: int) -> Socket:
        """A connection that it has accepted, as the descriptor `number`."""
        return Socket(self, number)


class Socket:
    """The transport of a connection."""

    def __init__(self, server: Port, number: int) -> None:
        self.server = server
        self.fileno = lambda: number


class LobbyTests(SynchronousTestCase):
    """Who goes when there are too many."""

    def setUp(self) -> None:
        """A lobby for sixteen, eight of one address."""
        self.clock: Any = Clock()
        self.lobby = Lobby(self.clock, 128)
        self.port = Port()
        self.assertEqual(self.lobby.most, 16)

    def come(self, count: int, address: IAddress | None = None) -> list[Guest]:
        """New ones, each of an address of its own unless it is said."""
        guests = [Guest() for _ in range(count)]
        for number, guest in enumerate(guests):
            self.lobby.arrive(guest, address or at(number + 1), self.port.connection(number))
        self.settle()
        return guests

    def settle(self) -> None:
        """Let the turn pass in which everybody is read, and the next one."""
        self.clock.advance(0)
        self.clock.advance(0)

    def test_longest_goes(self) -> None:
        """Beyond the bound the one goes that has waited longest."""
        guests = self.come(20)
        self.assertEqual([guest.is_away for guest in guests], [True] * 4 + [False] * 16)

    def test_one_address(self) -> None:
        """One address has half, and beyond that costs nobody but itself anything."""
        others = self.come(8)
        crowd = self.come(500, at(0))
        self.assertFalse(any(guest.is_away for guest in others))
        self.assertEqual([guest.is_away for guest in crowd[-9:]], [True] + [False] * 8)

    def test_read_once_more(self) -> None:
        """Nobody goes before it has been read once: who has asked by then stays."""
        self.clock = Turns()
        self.lobby = Lobby(self.clock, 128)
        first = Guest()
        self.lobby.arrive(first, at(0), None)
        later = [Guest() for _ in range(9)]
        for guest in later:
            self.lobby.arrive(guest, at(0), None)
        self.clock.turn()
        self.assertFalse(first.is_away or later[0].is_away)
        self.lobby.leave(first)
        self.clock.turn()
        self.assertEqual([guest.is_away for guest in [first, *later]], [False, True] + [False] * 8)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_begins_anew(self) -> None:
        """Who has asked for something meanwhile counts from when it was answered; waiting twice is
        waiting once, from the first time on."""
        first, second = self.come(2, at(0))
        self.lobby.leave(first)
        self.lobby.leave(first)
        self.lobby.enter(first, at(0))
        self.lobby.enter(second, at(0))
        self.come(7, at(0))
        self.assertEqual((first.is_away, second.is_away), (False, True))

    def test_moves_back(self) -> None:
        """Who has been answered meanwhile is the last that goes, of all and of its address."""
        for address in (None, at(0)):
            self.setUp()
            most = self.lobby.most if address is None else self.lobby.most_each
            first, *others = self.come(most, address)
            self.assertTrue(self.lobby.move_back(first))
            self.come(most - 1, address or at(99))
            self.assertFalse(first.is_away)
            self.assertTrue(all(guest.is_away for guest in others) or address is None)
        self.assertFalse(self.lobby.move_back(Guest()))

    def test_gone(self) -> None:
        """Who is gone makes room."""
        for guest in self.come(8, at(0)):
            self.lobby.gone(guest)
        self.assertFalse(any(guest.is_away for guest in self.come(8, at(0))))

    def test_descriptors(self) -> None:
        """The last sixteenth of all descriptors is for files, and an eighth for who only asks."""
        self.lobby.arrive(Guest(), at(1), self.port.connection(119))
        self.assertFalse(self.lobby.is_full)
        last = Guest()
        self.lobby.arrive(last, at(2), self.port.connection(120))
        self.assertTrue(self.lobby.is_full)
        self.lobby.gone(last)
        self.assertFalse(self.lobby.is_full)
        self.assertEqual(
            [self.lobby.may_stay(self.port.connection(n)) for n in (111, 112)], [True, False]
        )

    def test_accepts(self) -> None:
        """While there are too many, few are accepted in a turn; the others cost nothing yet."""
        self.come(16)
        self.assertEqual(self.port.numberAccepts, 100)
        self.come(1, at(99))
        self.assertEqual(self.port.numberAccepts, 4)

    def test_small_and_vast(self) -> None:
        """However few or many descriptors there are, some may wait and not too many."""
        self.assertEqual([Lobby(self.clock, n).most for n in (1, 64, 2**20)], [8, 8, 4096])

    def test_log(self) -> None:
        """One line a minute, however many are turned away."""
        with capturedLogs() as events:
            self.come(1000, at(0))
            self.clock.advance(QUIET_SECONDS)
            self.come(16, at(3))
            self.lobby.may_stay(self.port.connection(127))
        self.assertEqual([event["count"] for event in events], [1, 991 + 1])
        self.assertEqual(self.lobby.turned_away, 992 + 8 + 1)

    def test_places(self) -> None:
        """An IPv6 network of 64 bits, which one customer has, is as one; so is a mapped IPv4."""
        host = lambda text: place_of(IPv6Address("TCP", text, 1))  # noqa: E731
        self.assertEqual(host("2001:db8:0:1::1"), host("2001:db8:0:1:ffff::2"))
        self.assertNotEqual(host("2001:db8:0:1::1"), host("2001:db8:0:2::1"))
        self.assertEqual(host("::ffff:10.0.0.1"), place_of(at(1)))
        self.assertNotEqual(host("::ffff:10.0.0.2"), place_of(at(1)))
        self.assertEqual(host("fe80::1%eth0"), host("fe80::2%eth0"))
        self.assertEqual(place_of(UNIXAddress("/run/x")), place_of(UNIXAddress(None)))


class Numbered(Connection):
    """A connection that has a descriptor."""

    number = 5

    def fileno(self) -> int:
        """Its number."""
        return self.number


class SiteTests(SiteCase):
    """The lobby of a whole site, with 128 descriptors: eight connections may wait."""

    def setUp(self) -> None:
        """Put the site together."""
        super().setUp()
        self.narrow()

    def narrow(self) -> None:
        """Give the site few descriptors."""
        self.site.lobby = Lobby(self.clock, 128)

    def crowd(self, count: int = 100) -> list[Connection]:
        """Many who say nothing."""
        return [self.connect() for _ in range(count)]

    def open(self, connections: list[Connection]) -> list[bool]:
        """Which of them are open."""
        self.clock.advance(0)
        return [connection.is_open for connection in connections]

    def test_honest(self) -> None:
        """However many say nothing, who asks is answered."""
        for _ in range(5):
            crowd = self.crowd()
            self.assertEqual(self.ask(get("/healthz")).status, 200)
            self.assertEqual(sum(self.open(crowd)), 7)

    def test_answered(self) -> None:
        """Who is being answered, or upgraded, is nobody's to turn away."""
        self.serve(self.scripted)
        self.narrow()
        asking = self.connect(get("/"))
        upgraded = self.connect(get("/ws/proctor", *HANDSHAKE.split(b"\r\n")[:-1]))
        self.crowd()
        self.assertEqual(self.open([asking, upgraded]), [True, True])
        self.scripted.requests[0].finish()
        asking.turn()
        self.assertTrue(asking.is_open)
        self.crowd(8)
        self.assertEqual(self.open([asking, upgraded]), [False, True])

    def test_at_the_door(self) -> None:
        """Who has asked and waits to be let in is not turned away for those that say nothing; of
        those that wait at the door a quarter of all descriptors is, and no more."""
        self.clock = Turns()
        self.serve(self.scripted)
        self.narrow()
        asking = [Connection(self.site, self.clock) for _ in range(100)]
        waiting = len(self.site.door)
        self.assertEqual(waiting, 96)
        self.assertEqual(len(self.site.lobby._guests), 4 + 96 - 32)
        for _ in range(2):
            self.clock.turn()
        self.assertGreaterEqual(sum(connection.disconnecting for connection in asking), 60)
        self.assertFalse(any(connection.disconnecting for connection in asking[4:36]))

    def test_late_at_the_door(self) -> None:
        """Who asks late waits at the door like others: a quarter of all descriptors, and no more;
        those beyond count among those that say nothing."""
        self.clock = Turns()
        self.serve(self.scripted)
        self.site.lobby = Lobby(self.clock, 800)
        late = [Connection(self.site, self.clock) for _ in range(4)]
        for _ in range(3):
            self.clock.turn()
        self.patch(channel, "may_have_asked", lambda transport: False)
        late += [Connection(self.site, self.clock) for _ in range(50)]
        self.site.lobby.most_asking = 32
        for connection in late[4:]:
            connection.send(get("/"))
        self.assertEqual(len(self.site.door), 46)
        self.assertEqual(len(self.site.lobby._guests), 4 + 46 - 32)

    def test_nothing_taken(self) -> None:
        """Who takes nothing of its answer waits as those do that say nothing; who takes it does
        not."""
        self.serve(self.scripted)
        self.narrow()
        stalled, taking = self.connect(get("/"), room_bytes=0), self.connect(get("/"), 0)
        for request in self.scripted.requests:
            request.write(b"x" * 100_000)
        for connection in (stalled, taking):
            connection.turn()
        taking.take(None)
        self.crowd(8)
        self.assertEqual(self.open([stalled, taking]), [False, True])

    def test_half_requests(self) -> None:
        """A header or a body that does not end is not a request."""
        halves = [
            self.connect(b"GET / HTTP/1.1\r\n"),
            self.connect(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n1"),
            self.connect(b"nonsense\r\n"),
        ]
        self.crowd(8)
        self.assertEqual(self.open(halves), [False] * 3)

    def test_nothing_is_left(self) -> None:
        """Nobody is remembered, and no timer runs, once all are gone."""
        for connection in [*self.crowd(), self.connect(get("/")), self.connect(b"GET")]:
            connection.vanish()
        self.clock.advance(0)
        self.assertEqual(self.site.lobby._guests, {})
        self.assertEqual(self.site.lobby._by_place, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_descriptors(self) -> None:
        """Without a descriptor for it a newcomer ends at once, over TLS too, and is no fault."""
        self.patch(Numbered, "number", 120)
        last = Numbered(self.site, self.clock)
        for factory in (self.site, Wrapping(self.site)):
            refused = Numbered(factory, self.clock)
            self.assertIsNotNone(refused.lost)
        last.vanish()
        self.patch(Numbered, "number", 119)
        self.assertTrue(Numbered(self.site, self.clock).is_open)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_descriptors_are_free_again(self) -> None:
        """One that stays with a high descriptor costs others no more than one try, once others
        have gone of whom the lobby has not heard."""
        self.patch(Numbered, "number", 120)
        stays = Numbered(self.site, self.clock)
        self.patch(Numbered, "number", 7)
        self.assertIsNotNone(Numbered(self.site, self.clock).lost)
        self.assertTrue(Numbered(self.site, self.clock).is_open)
        self.assertTrue(stays.is_open)

    def test_no_descriptors_to_stay(self) -> None:
        """With few descriptors left none is upgraded, and who only asks is answered."""
        self.patch(Numbered, "number", 112)
        connection = Numbered(self.site, self.clock)
        connection.send(get("/ws/sentinel", *HANDSHAKE.split(b"\r\n")[:-1]))
        (answer,) = connection.answers()
        self.assertEqual((answer.status, answer.error_code), (503, "no-resources"))
        self.assertEqual(answer.headers["retry-after"], "30")
        connection.send(get("/readyz"))
        self.assertEqual(connection.answers()[-1].status, 200)
        self.assertEqual(self.flushLoggedErrors(), [])


class AskedTests(SynchronousTestCase):
    """What a new connection may have asked for, before anything of it is read."""

    def asked(self, data: bytes, is_secure: bool = False) -> bool:
        """Whether a client that has sent `data` may have asked for something."""
        ours, client = socket.socketpair()
        with ours, client:
            ours.setblocking(False)
            client.sendall(data)
            transport: Any = Socket(Port(), ours.fileno())
            transport.socket = ours
            if is_secure:
                wrapper: Any = ProtocolWrapper(WrappingFactory(Factory()), Connecting())
                wrapper.transport = transport
                transport = wrapper
            asked = may_have_asked(transport)
            self.assertEqual(len(ours.recv(9999)) if data else 0, len(data))
        return asked

    def test_header(self) -> None:
        """A whole header asks, whatever follows; less than that does not, unless it is long."""
        for data in (get("/"), get("/") + b"more", b"GET / HTTP/1.0\r\n\r\n", b"x" * 5000):
            self.assertTrue(self.asked(data), data[:40])
        for data in (b"", b"G", get("/")[:-1], b"\r\n"):
            self.assertFalse(self.asked(data), data)

    def test_tls(self) -> None:
        """Over TLS all asks that a client says before it is answered."""
        hello = b"\x16\x03\x01\x02\x00" + bytes(512)
        self.assertTrue(self.asked(hello, is_secure=True))
        for data in (b"", hello[:1], hello[:5], hello[:-1]):
            self.assertFalse(self.asked(data, is_secure=True), data[:9])

    def test_unknown(self) -> None:
        """Of who has no socket, or has gone, nothing is known."""
        self.assertTrue(may_have_asked(None))
        ours, client = socket.socketpair()
        client.close()
        transport: Any = Socket(Port(), 3)
        transport.socket = ours
        self.assertFalse(may_have_asked(transport))
        ours.close()
        self.assertTrue(may_have_asked(transport))


class Wrapping(WrappingFactory):
    """Puts a protocol in between, as TLS does."""

    protocol = ProtocolWrapper

    def __init__(self, site: Site) -> None:
        super().__init__(site)
