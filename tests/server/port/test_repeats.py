"""Tests of `vidlink.server.port.repeats`: what comes again, but for its range."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from tests.fakes.gates import Keys, anybody
from tests.fakes.store import MemoryStore
from tests.server.api.histories import NOW_US
from tests.server.port.test_fast_path import FILM, FilmArchive
from tests.server.port.test_sending import FakeSocket, FileBody, Plain, SendingCase
from tests.server.port.test_site import get
from tests.server.sockets.opened import Answer, Connection
from vidlink.interfaces import IBody, IStretch
from vidlink.model import USUAL, Deed, Role
from vidlink.relay.hub import Hub
from vidlink.server.api.bodies import LEAST_STRETCH_BYTES, PIECE_BYTES
from vidlink.server.api.fast_path import fast_path
from vidlink.server.api.history import Api
from vidlink.server.port import channel
from vidlink.server.port.repeats import is_whole, without_range
from vidlink.server.port.sending import MOST_SENT_BYTES
from vidlink.server.port.site import Request, principal_of, ticket_of

SIZE = 3 * PIECE_BYTES + 77


class FilmBody(FileBody):
    """A film in a file, which stays what it is until it `is_gone`."""

    is_gone = False
    #: So much of it lies in one stretch.
    most_bytes = SIZE

    def stretch(self, offset: int, size: int) -> IStretch | None:
        """As it lies in the file."""
        return super().stretch(offset, min(size, self.most_bytes))

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """In memory, if it is anywhere."""
        return self.content(offset, size) if self.is_at_hand else None

    def again(self) -> IBody | None:
        """The same, if it is there."""
        return None if self.is_gone else self


class QuickSocket(FakeSocket):
    """A socket that may be written to past the transport."""

    def sendmsg(self, buffers: Sequence[bytes]) -> int:
        """Take what there is room for."""
        taken = Plain.made[self.number].writeSomeData(b"".join(buffers))
        if not taken:
            raise BlockingIOError
        return taken

    def send(self, data: bytes, flags: int) -> int:
        """Likewise."""
        return self.sendmsg([data])


class Quick(Plain):
    """A connection over TCP that has one."""

    kind = QuickSocket


class RepeatsCase(SendingCase):
    """A player, on one connection."""

    def setUp(self) -> None:
        """Begin with a film, and count the requests that are answered as any other."""
        super().setUp()
        self.film = FilmBody(self.mktemp(), SIZE)
        self.addCleanup(os.close, self.film.descriptor)
        self.noted: list[Deed] = []
        self.ordinary = 0
        process = Request.process

        def counted(request: Request) -> None:
            self.ordinary += 1
            process(request)

        self.patch(Request, "process", counted)
        self.serve_film()

    def serve_film(self, **changes: Any) -> None:
        """Serve it, to anybody."""

        def noted(deed: Deed, *about: object, **more: object) -> None:
            self.noted.append(deed)

        self.history = Api(
            FilmArchive(self.film),
            Hub(self.clock.seconds),
            MemoryStore(),
            document={},
            wall_clock_us=lambda: NOW_US,
            did=noted,
            **{"principal_of": anybody, **changes},
        )
        self.serve(self.scripted)
        self.site.fast_path = fast_path(self.history)

    def part(self, first: int, last: int | str = "", *headers: bytes, path: str = FILM) -> bytes:
        """A request for a part of it."""
        return get(path, b"Range: bytes=%d-%b" % (first, str(last).encode()), *headers)

    def dial(self, *headers: bytes, path: str = FILM, kind: Any = Quick) -> Any:
        """A player that has had one part, and then a second one by the remembered way."""
        connection: Any = kind(self.site, self.clock)
        connection.send(self.part(0, 9, *headers, path=path))
        self.assertEqual([one.status for one in connection.answers()], [206])
        connection.received.clear()
        self.ordinary = 0
        return connection

    def ask_again(self, connection: Any, data: bytes) -> Answer:
        """The answer to one more request."""
        connection.received.clear()
        connection.send(data)
        answers: list[Answer] = connection.answers()
        self.assertEqual(len(answers), 1)
        return answers[0]


class RepeatsTests(RepeatsCase):
    """What comes again."""

    def assert_part(self, answer: Answer, first: int, last: int) -> None:
        """It has these octets of the film, and says so."""
        self.assertEqual(
            (answer.status, answer.body), (206, self.film.content(first, last + 1 - first))
        )
        self.assertEqual(answer.headers["content-range"], f"bytes {first}-{last}/{SIZE}")
        self.assert_everywhere(answer)

    def test_as_ever(self) -> None:
        """Each range is answered with just the headers and octets that a first request for it has,
        over every kind of transport."""
        for kind in (Quick, Connection, Plain):
            for first, last in (
                (0, 9),
                (5, 5),
                (SIZE - 1, ""),
                (7, SIZE + 99),
                (0, LEAST_STRETCH_BYTES - 1),
                (1, LEAST_STRETCH_BYTES),
                (0, ""),
            ):
                asked = self.part(first, last)
                answer = self.ask_again(self.dial(kind=kind), asked)
                self.assertEqual(self.ordinary, 0, asked)
                self.assert_part(
                    answer, first, min(SIZE if isinstance(last, str) else last, SIZE - 1)
                )
                fresh = self.ask(asked)
                self.assertEqual((fresh.status, fresh.body), (answer.status, answer.body))
                date = {"date": ""}
                self.assertEqual(fresh.headers | date, answer.headers | date)

    def test_many(self) -> None:
        """A player has hundreds of parts on one connection, and each is noted as a first one is."""
        connection = self.dial()
        for number in range(200):
            answer = self.ask_again(connection, self.part(number, number + 20_479))
            self.assert_part(answer, number, number + 20_479)
        self.assertEqual(self.ordinary, 0)
        self.assertEqual(self.noted, [Deed.FETCHED] * 201)
        connection.pass_time(USUAL.idle_seconds - 1)
        self.assertTrue(connection.is_open)
        self.ask_again(connection, self.part(1, 2))
        connection.pass_time(USUAL.idle_seconds - 1)
        self.assertTrue(connection.is_open)
        connection.pass_time(1)
        self.assertFalse(connection.is_open)
        self.assertEqual(self.site.requests._taken, {})

    def test_other_requests(self) -> None:
        """What differs in anything else, or asks for what is no such part, is answered as ever."""
        for data, status in (
            (self.part(5, 9, b"Accept: */*"), 206),
            (self.part(5, 9, b'If-Range: "another"'), 200),
            (self.part(5, 9).replace(b"Range:", b"range:"), 206),
            (self.part(5, 9).replace(b"127.0.0.1", b"evil.test"), 421),
            (self.part(5, 9).replace(b"GET", b"HEAD"), 200),
            (get(FILM), 200),
            (get(FILM, b"Range: bytes=-5"), 206),
            (get(FILM, b"Range: bytes=1-2,4-5"), 200),
            (get(FILM, b"Range: bytes=9-5"), 200),
            (get(FILM, b"Range: bytes=%d-" % SIZE), 416),
            (get(FILM, b"Range: bytes=" + b"9" * 30 + b"-"), 416),
            (get(FILM, b"Range: words=1-2"), 200),
            (self.part(5, 9, path=FILM + "?x=1"), 400),
        ):
            connection = self.dial()
            connection.send(data)
            self.assertIn(b"HTTP/1.1 %d " % status, connection.received, data)
            self.assertEqual(self.ordinary, 1, data)

    def test_headers_of_the_same_length(self) -> None:
        """Each octet before and behind the range counts."""
        for line, other in ((b"Accept: a/b", b"Accept: a/c"), (b"If-Match: *", b'If-Match: "')):
            connection = self.dial(line)
            self.ask_again(connection, self.part(5, 9, other))
            self.assertEqual(self.ordinary, 1)

    def test_conditions(self) -> None:
        """What holds for the first request holds for those that say the same, of the same film."""
        tag = f'If-Range: "{self.film.etag}"'.encode()
        for header in (tag, b'If-Match: "scripted"', b'If-None-Match: "other"'):
            self.assert_part(self.ask_again(self.dial(header), self.part(3, 8, header)), 3, 8)
            self.assertEqual(self.ordinary, 0)

    def test_another_film(self) -> None:
        """What is not what it was any more is asked for anew, and so is what is not at hand."""
        connection = self.dial()
        self.film.is_gone = True
        self.assert_part(self.ask_again(connection, self.part(3, 8)), 3, 8)
        self.film.is_gone = False
        self.assertEqual(self.ordinary, 1)
        self.film.is_at_hand = False
        self.assert_part(self.ask_again(connection, self.part(3, 8)), 3, 8)
        self.assertEqual((self.ordinary, self.film.reads[-1]), (2, (3, 6)))

    def test_films_that_grow(self) -> None:
        """What may be another in a moment is looked for each time."""
        self.film.is_final = False
        same = b'If-Range: "scripted"'
        connection = Quick(self.site, self.clock)
        for _ in range(3):
            answer = self.ask_again(connection, self.part(3, 8, same, path=FILM + "?last=1"))
            self.assertEqual(answer.status, 206)
        self.assertEqual(self.ordinary, 3)

    def test_damage(self) -> None:
        """What is met behind the head breaks the answer off."""
        connection = self.dial()
        self.film.most_bytes = connection.room_bytes = PIECE_BYTES
        connection.send(self.part(0))
        self.film.is_at_hand = False
        self.film.damaged_at = 0
        connection.take(None)
        self.assertFalse(connection.is_open)
        self.assertLess(len(connection.received), SIZE)

    def test_bodies_of_requests(self) -> None:
        """A request with a body never comes again as one without, and what follows is its own."""
        data = self.part(0, 9, b"Content-Length: 4")
        connection = Quick(self.site, self.clock)
        for _ in range(3):
            connection.send(data)
            self.assertEqual(len(connection.answers()), 0)
            connection.send(b"GET ")
            self.assertEqual([one.status for one in connection.answers()], [206])
            connection.received.clear()
        self.assertEqual(self.ordinary, 3)

    def test_log(self) -> None:
        """What came again is told of together, with how much it was."""
        connection = self.dial()
        with capturedLogs() as logs:
            for _ in range(3):
                self.ask_again(connection, self.part(0, 99))
            connection.send(get("/"))
            connection.vanish()
        (told,) = (one for one in logs if "more" in one)
        self.assertEqual((told["more"], told["size"]), (3, 300))

    def test_connections_that_close(self) -> None:
        """Who says that this is the last request has the connection closed."""
        connection = Quick(self.site, self.clock)
        connection.send(self.part(0, 9, b"Connection: close"))
        self.assertFalse(connection.is_open)

    @given(
        parts=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 199)), min_size=2, max_size=6),
        cuts=st.lists(st.integers(1, 120), max_size=12),
    )
    def test_cut_anywhere(self, parts: list[tuple[int, int]], cuts: list[int]) -> None:
        """However the octets of requests arrive, all at once or in pieces, each is answered, in
        order, and as it would be alone."""
        connection = Quick(self.site, self.clock)
        data = b"".join(self.part(first, last) for first, last in parts)
        for size in cuts:
            connection.send(data[:size])
            data = data[size:]
        connection.send(data)
        answers = connection.answers()
        self.assertEqual(len(answers), len(parts))
        for answer, (first, last) in zip(answers, parts, strict=True):
            if first <= last:
                self.assert_part(answer, first, last)
            else:
                self.assertEqual(answer.status, 200)
        connection.vanish()


class SlowRepeatsTests(RepeatsCase):
    """Clients that do not take all of it at once."""

    def slow(self, room_bytes: int = 0) -> Any:
        """One that has asked for the whole film by the remembered way, and takes so much."""
        connection = self.dial()
        connection.room_bytes = room_bytes
        connection.send(self.part(0))
        return connection

    def test_a_piece_at_a_time(self) -> None:
        """It is given as much as it takes; nothing is held for it, and its next request waits."""
        connection = self.slow()
        connection.send(self.part(5, 9) + get("/"))
        for _ in range(2):
            connection.take(PIECE_BYTES)
            self.assertLess(connection.held_bytes, 2_000)
            connection.pass_time(USUAL.stall_seconds - 1)
            self.assertTrue(connection.is_open)
        connection.take(None)
        film, part = connection.answers()
        self.assertEqual(
            (film.body, part.body), (self.film.content(0, SIZE), self.film.content(5, 5))
        )
        self.assertEqual(len(self.scripted.requests), 1)

    def test_what_is_written(self) -> None:
        """What goes through the transport, as what is not worth a call of its own, waits there,
        and counts as held; only then is anything else answered."""
        connection = self.dial()
        connection.room_bytes = 0
        self.patch(self.film, "stretch", lambda offset, size: None)
        connection.send(self.part(0, PIECE_BYTES - 1))
        self.assertGreater(self.site.answers.held_bytes, PIECE_BYTES)
        connection.send(self.part(5, 9))
        connection.pass_time(USUAL.idle_seconds + 1)
        connection.take(None)
        self.assertEqual(self.site.answers.held_bytes, 0)
        self.assertEqual([len(one.body) for one in connection.answers()], [PIECE_BYTES, 5])

    def test_stalled(self) -> None:
        """Who takes nothing is broken off in time."""
        connection = self.slow()
        connection.pass_time(USUAL.stall_seconds + 1)
        self.assertFalse(connection.is_open)
        self.assertEqual(self.site.requests._taken, {})

    def test_gone(self) -> None:
        """Of who leaves nothing is kept, and no error is logged."""
        connection = self.slow(PIECE_BYTES)
        self.assertEqual(len(self.site.answering), 1)
        connection.vanish()
        self.assertEqual(self.site.answering, set())
        self.assertEqual(self.site.requests._taken, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_rights_that_are_gone(self) -> None:
        """It is broken off as soon as whoever asked may not have it any more."""
        connection = self.slow(PIECE_BYTES)
        self.patch(self.site.gate, "is_current", lambda principal: False)
        self.site.tick()
        connection.turn()
        self.assertFalse(connection.is_open)

    def test_a_fault(self) -> None:
        """A fault of ours in the middle ends the connection, and stands in the log."""
        self.film.most_bytes = PIECE_BYTES
        connection = self.slow(PIECE_BYTES)
        self.patch(self.film, "stretch", lambda offset, size: 1 // 0)
        connection.take(None)
        self.assertFalse(connection.is_open)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_full_turn(self) -> None:
        """When a turn has no room for more octets of files, the rest goes in the next one."""
        connection, gone = self.dial(), self.dial()
        self.site.files.count(self.site.files._per_turn)
        connection.protocol.dataReceived(self.part(0))
        self.assertEqual((connection.asked, len(self.site.files)), ([], 1))
        gone.protocol.dataReceived(self.part(0))
        self.assertEqual(len(self.site.files), 2)
        gone.vanish()
        self.assertEqual(len(self.site.files), 1)
        connection.turn()
        (answer,) = connection.answers()
        self.assertEqual(answer.body, self.film.content(0, SIZE))

    def test_at_the_door(self) -> None:
        """Where others wait for their turn a repeat waits behind them, and what comes behind it is
        answered after it."""
        connection = self.dial()
        self.patch(self.site.door, "_see_to_turn", lambda: None)
        self.site.door.count(self.site.door._per_turn)
        connection.send(self.part(3, 8))
        self.assertEqual(connection.received, b"")
        self.site.door._turn()
        self.assertEqual([len(one.body) for one in connection.answers()], [6])
        self.site.door.count(self.site.door._per_turn)
        connection.send(self.part(3, 8))
        connection.send(self.part(2, 8))
        self.assertEqual(len(connection.answers()), 1)
        for _ in range(3):
            self.site.door._turn()
            connection.turn()
        self.assertEqual([len(one.body) for one in connection.answers()], [6, 6, 7])
        self.site.door.count(self.site.door._per_turn)
        connection.send(self.part(3, 8))
        connection.vanish()
        self.assertEqual(len(self.site.door), 0)

    def test_small_ones_in_a_full_turn(self) -> None:
        """Of those that have waited for room among files not all are answered in one turn, however
        little each is sent."""
        self.patch(channel, "_LEAST_BYTES", MOST_SENT_BYTES // 2)
        players = [self.dial() for _ in range(3)]
        self.patch(self.site.files, "_see_to_turn", lambda: None)
        self.site.files.count(MOST_SENT_BYTES)
        for player in players:
            player.protocol.dataReceived(self.part(0, 9))
        self.site.files._turn()
        self.assertEqual([bool(player.received) for player in players], [True, True, False])

    def test_files_behind_the_door(self) -> None:
        """Who has waited at the door, and finds the turn full of octets, is sent its file later."""
        connection = self.dial()
        self.site.files.count(self.site.files._per_turn)
        connection.protocol._waiting = self.part(0)
        connection.protocol._answer_in_turn()
        self.assertEqual(connection.asked, [])
        connection.turn()
        self.assertEqual(connection.answers()[0].body, self.film.content(0, SIZE))


class RevokedRepeatsTests(RepeatsCase):
    """Where credentials are asked for."""

    def setUp(self) -> None:
        """Begin with a token, and a film for whoever has one."""
        super().setUp()
        self.keys = Keys(self.mktemp(), self.clock)
        self.token = self.keys.token(Role.PROCTOR)
        self.shown = f"Authorization: Bearer {self.token}".encode()
        self.serve_film(principal_of=principal_of, ticket_of=ticket_of)
        self.site.gate = self.keys.gate

    def test_tokens(self) -> None:
        """A token that is revoked, or gives less than it did, gives nothing more at once."""
        connection = self.dial(self.shown)
        again = self.part(3, 8, self.shown)
        self.assertEqual(self.ask_again(connection, again).status, 206)
        self.assertEqual(self.ordinary, 0)
        self.assertEqual(self.ask_again(connection, self.part(3, 8)).status, 401)
        connection = self.dial(self.shown)
        self.keys.revoke()
        self.assertEqual(self.ask_again(connection, again).status, 401)

    def test_tickets(self) -> None:
        """A ticket is good for as long as ever, and no moment longer."""
        principal = self.keys.register.find(self.token)
        assert principal is not None, "it was made just now"
        ticket = self.keys.gate.tickets.issue(principal, FILM)
        path = f"{FILM}?ticket={ticket}"
        connection = self.dial(path=path)
        again = self.part(3, 8, path=path)
        self.assertEqual(self.ask_again(connection, again).status, 206)
        self.assertEqual(self.ordinary, 0)
        self.keys.revoke()
        self.assertEqual(self.ask_again(connection, again).status, 401)

    def test_everybody(self) -> None:
        """Where nobody had to show anything, and then has to, nothing is given to who does not."""
        self.keys = Keys(self.mktemp(), self.clock)
        self.site.gate = self.keys.gate
        connection = self.dial()
        self.assertEqual(self.ask_again(connection, self.part(3, 8)).status, 206)
        self.assertEqual(self.ordinary, 0)
        self.keys.token(Role.PROCTOR)
        self.assertEqual(self.ask_again(connection, self.part(3, 8)).status, 401)

    def test_shares(self) -> None:
        """Repeats count among what one credential may have under way."""
        connection = self.dial(self.shown)
        for _ in range(self.site.requests.most_each):
            self.site.requests.take("token:token-1")
        self.assertEqual(self.ask_again(connection, self.part(3, 8, self.shown)).status, 429)


class HeadTests(SendingCase):
    """Heads of requests."""

    def test_whole(self) -> None:
        """One GET, with its end and nothing behind it."""
        head = get(FILM, b"Range: bytes=0-5")
        self.assertTrue(is_whole(head))
        for other in (head[:-1], head + head, b"HEAD" + head[3:], head + b"x", b"\r\n\r\n"):
            self.assertFalse(is_whole(other), other)

    def test_without_range(self) -> None:
        """The one range is cut out, wherever it stands and however its name is spelt."""
        for line in (b"Range: bytes=0-5", b"range:bytes=0-", b"RANGE: \t bytes=0-99"):
            cut = without_range(get(FILM, b"A: b", line, b"C: d"))
            assert cut is not None, line
            before, after = cut
            self.assertTrue(before.endswith(b"bytes="))
            self.assertEqual(after, b"\r\nC: d\r\n\r\n")
        for lines in (
            [],
            [b"Range: bytes=-5"],
            [b"Range: bytes=0-5,7-8"],
            [b"Range: bytes=0-5", b"Range: bytes=0-5"],
            [b"Range: bytes=0-5", b"Range : bytes=0-5"],
            [b"X-Range: bytes=0-5"],
        ):
            self.assertIsNone(without_range(get(FILM, *lines)), lines)
