"""What a proxy before the server says of who came to it: believed of those that are named alone."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.fakes.gates import open_gate
from tests.server.sockets.opened import Connection
from vidlink.server.api.answers import asker
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts
from vidlink.server.port.site import Site, is_own

PROXY = IPv4Address("TCP", "10.0.0.9", 40_000)
STRANGER = IPv4Address("TCP", "203.0.113.5", 40_000)


class Asked(Resource):
    """Tells who asks, whether it came over TLS, and whether from this machine."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """The three, in a line."""
        return f"{asker(request)} {request.isSecure()} {is_own(request)}".encode("ascii")


class From(Connection):
    """A connection that comes from `address`."""

    def __init__(self, address: IAddress, site: Site, clock: MemoryReactorClock) -> None:
        self.address = address
        super().__init__(site, clock)

    def getPeer(self) -> IAddress:
        """Where it comes from."""
        return self.address


class ProxyTests(SynchronousTestCase):
    """A server behind 10.0.0.9, an IPv6 address and a Unix socket."""

    def ask(self, address: IAddress, *headers: str, host: str = "exam.example") -> str:
        """The body of the answer to whoever comes from `address`."""
        return self.answer(address, headers, host).partition("\r\n\r\n")[2]

    def answer(self, address: IAddress, headers: tuple[str, ...], host: str) -> str:
        """The whole answer."""
        clock = MemoryReactorClock()
        hosts = Hosts([Listening.parse("tcp:80")], ["https://exam.example"], ["plain.example"])
        proxies = frozenset({"10.0.0.9", "2001:db8::9", "unix"})
        site = Site(Asked(), clock=clock, hosts=hosts, gate=open_gate(clock), proxies=proxies)
        site.doStart()
        self.addCleanup(site.doStop)
        connection = From(address, site, clock)
        connection.send("\r\n".join(self.lines(headers, host)).encode("ascii"))
        return connection.received.decode("ascii")

    def lines(self, headers: tuple[str, ...], host: str) -> Iterator[str]:
        """Those of a request."""
        yield from ("GET / HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", "")

    def test_believed(self) -> None:
        """A proxy that is named says who the client is, and whether it came over TLS."""
        for address in (PROXY, IPv6Address("TCP", "2001:db8::9", 40_000), UNIXAddress(None)):
            told = self.ask(address, "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https")
            self.assertEqual(told, "198.51.100.7 True False")
        self.assertEqual(self.ask(PROXY, "X-Forwarded-For: 2001:db8::1"), "2001:db8::1 False False")

    def test_last_one(self) -> None:
        """Of several addresses the last one counts: the others are what the client has said."""
        for headers in (
            ("X-Forwarded-For: 127.0.0.1, 198.51.100.7",),
            ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 198.51.100.7"),
        ):
            self.assertEqual(self.ask(PROXY, *headers), "198.51.100.7 False False")

    def test_nonsense(self) -> None:
        """What is no address is not believed, and neither is any other word than https."""
        for said in ("", "unknown", "127.0.0.1:80", "[::1]", "a" * 1000):
            self.assertEqual(self.ask(PROXY, f"X-Forwarded-For: {said}"), "10.0.0.9 False False")
        for said in ("http", "HTTPS", "https, http", ""):
            told = self.ask(PROXY, f"X-Forwarded-Proto: {said}")
            self.assertEqual(told, "10.0.0.9 False False")

    def test_strangers(self) -> None:
        """Nobody else is believed, wherever they say that they are."""
        headers = ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https")
        self.assertEqual(self.ask(STRANGER, *headers), "203.0.113.5 False False")
        self.assertEqual(self.ask(STRANGER, *headers, host="localhost"), "203.0.113.5 False False")

    def test_own(self) -> None:
        """This machine's own requests are known by where they come from and what they ask for."""
        loopback = IPv4Address("TCP", "127.0.0.1", 40_000)
        self.assertEqual(self.ask(loopback, host="localhost"), "127.0.0.1 False True")
        self.assertEqual(self.ask(loopback, host="plain.example"), "127.0.0.1 False False")

    def test_stays_secure(self) -> None:
        """Who has come over TLS to a name is told to do so for a year; nobody else is."""
        secure = ("X-Forwarded-Proto: https",)
        for address, headers, host, is_told in (
            (PROXY, secure, "exam.example", True),
            (PROXY, (), "exam.example", False),
            (STRANGER, secure, "exam.example", False),
            # Other programs of the machine have other ports.
            (PROXY, secure, "localhost", False),
            (PROXY, secure, "10.0.0.1", False),
        ):
            answer = self.answer(address, headers, host)
            said = "strict-transport-security: max-age=31536000\r\n" in answer.lower()
            self.assertEqual(said, is_told, (address, headers, host))
