"""Tickets: how many there may be, what one more costs, and what any text opens."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import calls
from vidlink.access.tickets import UNUSED_SECONDS, Tickets
from vidlink.errors import NotFound, TooManyTickets
from vidlink.model import (
    USUAL,
    Principal,
    Right,
)

SOCKET = "/ws/proctor"
SESSION = "/api/v1/sentinels/desk-12/sessions/Wj3_qT-8mZ0aLeR4"
PLAYLIST = f"{SESSION}/index.m3u8"
#: Pieces of which paths near those of films are made.
PIECES = (
    "/", "//", "..", ".", "%2e%2e", "%2F", "%2f", "?", "#", ";", "\\", "\0", "\n", " ", "%", "é",
    "api", "v1", "sentinels", "sessions", "desk-12", "desk-13", "Wj3_qT-8mZ0aLeR4", "segments",
    "init.mp4", "recording.mp4", "index.m3u8", "0", "7", "hold", "ws", "proctor", "tickets",
)  # fmt: skip
PATHS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def principal(number: int) -> Principal:
    """One of many."""
    return Principal(f"user-{number}", f"login:{number:08x}", frozenset({Right.WATCH}))


class TicketsCase(SynchronousTestCase):
    """Tickets, and a clock."""

    def setUp(self) -> None:
        """Everybody's credential is valid."""
        self.clock = Clock()
        self.ended: set[Principal] = set()
        self.tickets = Tickets(self.clock.seconds, lambda one: one not in self.ended)


class BoundTests(TicketsCase):
    """How many are out."""

    def fill(self) -> None:
        """So many as there may be."""
        for number in range(USUAL.tickets // USUAL.tickets_per_credential):
            for _ in range(USUAL.tickets_per_credential):
                self.tickets.issue(principal(number), SOCKET)

    def test_each(self) -> None:
        """One credential has so many, and more when some of them have ended; others have theirs."""
        tickets = [
            self.tickets.issue(principal(0), SOCKET) for _ in range(USUAL.tickets_per_credential)
        ]
        self.assertRaises(TooManyTickets, self.tickets.issue, principal(0), SOCKET)
        self.tickets.issue(principal(1), SOCKET)
        self.assertEqual(self.tickets.redeem(tickets[0], SOCKET), principal(0))
        self.tickets.issue(principal(0), SOCKET)
        self.assertRaises(TooManyTickets, self.tickets.issue, principal(0), SOCKET)
        self.clock.advance(UNUSED_SECONDS)
        self.tickets.issue(principal(0), SOCKET)

    def test_all(self) -> None:
        """All together have so many; those of a credential that is not valid any more make room."""
        self.fill()
        self.assertRaises(TooManyTickets, self.tickets.issue, principal(99), SOCKET)
        self.ended.add(principal(3))
        self.clock.advance(1)
        self.tickets.issue(principal(99), SOCKET)

    def test_cost(self) -> None:
        """One more costs no more, and neither does one that is refused, however many are out."""
        self.fill()
        self.assertRaises(TooManyTickets, self.tickets.issue, principal(99), SOCKET)

        def refused() -> None:
            for number in range(100):
                self.assertRaises(
                    TooManyTickets, self.tickets.issue, principal(99 + number), SOCKET
                )

        self.assertLess(calls(refused), 5_000)
        self.assertEqual(self.tickets.redeem("none", SOCKET), None)


class AnyTests(TicketsCase):
    """Paths and tickets as strangers may make them."""

    @given(PATHS)
    @example(f"{SESSION}/../x/recording.mp4")
    @example(f"{PLAYLIST}\n")
    def test_any_issued(self, path: str) -> None:
        """Whatever a ticket is asked for, it is for one film or for the socket, or refused."""
        try:
            ticket = self.tickets.issue(principal(0), path)
        except NotFound:
            return
        self.assertRegex(
            path,
            r"\A(/ws/proctor|/api/v1/sentinels/[^/?]+/sessions/[^/?]+/(recording.mp4|index.m3u8))\Z",
        )
        self.assertEqual(self.tickets.redeem(ticket, path), principal(0))

    @given(PATHS | PATHS.map(lambda rest: f"{SESSION}/{rest}"))
    @example(f"{SESSION}/segments/0/../../hold")
    @example(f"{SESSION}/segments/0%2F..%2Fhold")
    @example(f"{SESSION}/index.m3u8/../../../desk-13/sessions/Wj3_qT-8mZ0aLeR4/index.m3u8")
    def test_any_opened(self, path: str) -> None:
        """Wherever the ticket of a playlist is shown, it opens that session's media and nothing
        else, however the path is spelt."""
        ticket = self.tickets.issue(principal(0), PLAYLIST)
        try:
            if self.tickets.redeem(ticket, path) is not None:
                rest = path.removeprefix(SESSION)
                self.assertRegex(
                    rest, r"\A/(index\.m3u8|init\.mp4|segments/[0-9]+(-[0-9]+)?(\.mp4)?)\Z"
                )
        finally:
            self.ended.add(principal(0))
            self.assertIsNone(self.tickets.redeem(ticket, PLAYLIST))
            self.ended.clear()

    @given(st.text(max_size=80))
    def test_any_ticket(self, ticket: str) -> None:
        """Whatever is shown as a ticket opens nothing, if it was not made here."""
        self.tickets.issue(principal(0), SOCKET)
        self.assertIsNone(self.tickets.redeem(ticket, SOCKET))
        self.ended.add(principal(0))
        self.clock.advance(UNUSED_SECONDS)
