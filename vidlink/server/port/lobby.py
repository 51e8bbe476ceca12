"""The lobby of the port: connections that ask for nothing, not yet or not any more, within bounds.

Anybody can open a connection and say nothing, or take nothing of an answer, and each has a
descriptor, of which a process has so many. In the lobby is who has not sent a whole request, whose
request is answered, who takes nothing of the answer, or who has been upgraded and not registered;
not one that is being answered, or is known.

Bounds: :attr:`Lobby.most` connections in all, and at most half of them of one address. Beyond it
those go that have been there longest: of the same address, if that is the one with too many. They
go when everybody has been read once more, so a request that is sent at once is answered, however
many others say nothing and however fast they come again. And with :attr:`Lobby.most_open`
descriptors open in the whole process a newcomer is turned away before it has cost anything, so that
files can still be opened; upgraded connections, which stay, leave a share of them to those that
only ask.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from itertools import islice
from typing import Any, Protocol

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol as Connection
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from vidlink.model import USUAL, Bounds
from vidlink.timer import Timer

#: Who is turned away is told of in the log no more often than this.
QUIET_SECONDS = 60.0


class Guest(Protocol):
    """A connection in the lobby."""

    def turn_away(self) -> None:
        """Close, without a word and without waiting."""


class Lobby:
    """The connections that wait, in the order in which they began to, and by address.

    :param descriptors: the most that this process may have open.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        descriptors: int = USUAL.descriptors,
        bounds: Bounds = USUAL,
    ) -> None:
        self._clock = clock
        #: So many connections may wait.
        self.most = max(8, min(bounds.waiting_connections, descriptors // 8))
        #: So many of one place.
        self.most_each = min(bounds.waiting_connections_per_place, self.most // 2)
        #: So many more may wait at the door without being counted here, because they have asked.
        self.most_asking = descriptors // 4
        #: With so many descriptors open no newcomer is let in.
        self.most_open = descriptors - descriptors // 16
        #: With so many open no connection is upgraded.
        self.most_staying = descriptors - descriptors // 8
        #: The number of those that were turned away, since the start.
        self.turned_away = 0
        self._guests: dict[Guest, object] = {}
        self._by_place: dict[object, dict[Guest, None]] = {}
        self._crowded: set[object] = set()
        self._ports: dict[Any, None] = {}
        self._turn = Timer(clock)
        self._is_full = False
        self._untold = 0
        self._told_seconds = float("-inf")

    @property
    def is_full(self) -> bool:
        """True if there is no descriptor left for a newcomer."""
        return self._is_full

    def arrive(self, guest: Guest, address: IAddress, transport: Any) -> None:
        """Take in a new connection. Its descriptor is always the lowest that was free."""
        self.measure(transport)
        port = getattr(beneath(transport), "server", None)
        if port is not None:
            self._ports[port] = None
        self.enter(guest, address)

    def measure(self, transport: Any) -> None:
        """See by a new connection, whose descriptor is the lowest that was free, whether there are
        any left for the next one."""
        self._is_full = descriptor_of(transport) >= self.most_open

    def enter(self, guest: Guest, address: IAddress) -> None:
        """`guest` waits from now on, unless it does already."""
        if guest in self._guests:
            return
        place = place_of(address)
        beside = self._by_place.setdefault(place, {})
        self._guests[guest] = place
        beside[guest] = None
        if len(beside) > self.most_each:
            self._crowded.add(place)
        elif len(self._guests) <= self.most:
            return
        if not self._turn.is_running:
            # Timed calls come before what is read in the same turn.
            self._turn.start(0, self._wait_a_turn)

    def move_back(self, guest: Guest) -> bool:
        """`guest` has been answered, and waits behind all others from now on; False: it is not
        here."""
        place = self._guests.pop(guest, None)
        if place is None:
            return False
        self._guests[guest] = place
        beside = self._by_place[place]
        del beside[guest]
        beside[guest] = None
        return True

    def leave(self, guest: Guest) -> None:
        """`guest` waits no more; does nothing if it did not."""
        place = self._guests.pop(guest, None)
        if place is not None:
            beside = self._by_place[place]
            del beside[guest]
            if not beside:
                del self._by_place[place]

    def gone(self, guest: Guest) -> None:
        """The connection is closed, and its descriptor free."""
        self.leave(guest)
        self._is_full = False

    def may_stay(self, transport: Any) -> bool:
        """True if the connection of `transport` may be upgraded."""
        if descriptor_of(transport) < self.most_staying:
            return True
        self._tell()
        return False

    def refuse(self) -> Connection:
        """A protocol that ends a newcomer at once."""
        self._tell()
        return _Refusal(self)

    def _wait_a_turn(self) -> None:
        # The others wait in the kernel, where they cost no descriptor, instead of being accepted
        # by the hundred before the first is read. Twisted takes 20 more each time that all came.
        for port in self._ports:
            port.numberAccepts = min(port.numberAccepts, self.most // 4)
        self._turn.start(0, self._make_room)

    def _make_room(self) -> None:
        for place in self._crowded:
            beside = self._by_place.get(place, {})
            for guest in tuple(islice(beside, max(0, len(beside) - self.most_each))):
                self._turn_away(guest)
        self._crowded.clear()
        for guest in tuple(islice(self._guests, max(0, len(self._guests) - self.most))):
            self._turn_away(guest)

    def _turn_away(self, guest: Guest) -> None:
        self.leave(guest)
        guest.turn_away()
        self._tell()

    def _tell(self) -> None:
        self.turned_away += 1
        self._untold += 1
        now = self._clock.seconds()
        if now - self._told_seconds < QUIET_SECONDS:
            return
        self._log.warn(
            "too many connections: {count} turned away since this was last said; {waiting} ask for"
            " nothing, of {places} addresses",
            count=self._untold,
            waiting=len(self._guests),
            places=len(self._by_place),
        )
        self._told_seconds, self._untold = now, 0


class _Refusal(Connection):
    """A newcomer for whom there is no descriptor."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby

    def connectionMade(self) -> None:
        """Give its own one back now: `abortConnection` would do it in the next turn, and as many
        as have come with it would be refused by the system, with a traceback for each."""
        # Others may have gone meanwhile of whom the lobby does not hear, as upgraded ones.
        self._lobby.measure(self.transport)
        beneath(self.transport).connectionLost(Failure(ConnectionAborted()))


def place_of(address: IAddress) -> object:
    """The place of those who count as one: an IPv4 address, an IPv6 network of 64 bits, or all
    who come by a Unix socket."""
    host = getattr(address, "host", None)
    return "local" if host is None else _place_of_host(host)


@lru_cache(4_096)
def _place_of_host(host: str) -> bytes:
    known = ip_address(host)
    if isinstance(known, IPv4Address):
        return known.packed
    mapped = known.ipv4_mapped
    return known.packed[:8] if mapped is None else mapped.packed


def beneath(transport: Any) -> Any:
    """The transport that has the socket, beneath TLS."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def descriptor_of(transport: Any) -> int:
    """The number of the descriptor under `transport`; -1 where there is none."""
    number = getattr(beneath(transport), "fileno", None)
    return -1 if number is None else int(number())
