"""Tests of `vidlink.server.port.sending`: films that the kernel sends."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any, ClassVar

from zope.interface import implementer

from tests.server.api.test_bodies import ScriptedBody
from tests.server.port.test_fast_path import FILM, FilmArchive
from tests.server.port.test_site import SiteCase, get
from tests.server.sockets.opened import Connection
from vidlink.interfaces import IStretch
from vidlink.model import USUAL
from vidlink.server.api.bodies import LEAST_STRETCH_BYTES, PIECE_BYTES, STRETCH_BYTES
from vidlink.server.api.fast_path import fast_path
from vidlink.server.port import sending
from vidlink.server.port.sending import MOST_SENT_BYTES

MANY = 5 * STRETCH_BYTES + 77
CONTENT = b"".join(b"%07d\n" % number for number in range(MANY // 8 + 1))


class FakeSocket:
    """What the kernel calls the socket of a connection."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        """Its number."""
        return self.number

    def recv(self, size: int, flags: int) -> bytes:
        """Nothing has come yet."""
        raise BlockingIOError


class Plain(Connection):
    """A connection over TCP."""

    made: ClassVar[dict[int, Plain]] = {}
    kind: ClassVar[type[FakeSocket]] = FakeSocket
    TLS = False

    def __init__(self, *arguments: Any) -> None:
        number = 1_000 + len(self.made)
        self.socket = self.kind(number)
        self.made[number] = self
        #: What the kernel was asked for, and the error that it gives.
        self.asked: list[tuple[int, int]] = []
        self.error = 0
        super().__init__(*arguments)

    def fileno(self) -> int:
        """No number that anybody counts."""
        return -1

    def _has_all_written(self) -> bool:
        return self.room_bytes != 0 and super()._has_all_written()


def sendfile(out: int, file: int, offset: int, count: int) -> int:
    """The kernel: sends what the client has room for."""
    connection = Plain.made[out]
    connection.asked.append((offset, count))
    if connection.error:
        raise OSError(connection.error, os.strerror(connection.error))
    if connection.room_bytes == 0:
        raise BlockingIOError
    size = count if connection.room_bytes is None else min(count, connection.room_bytes)
    return connection.writeSomeData(os.pread(file, size, offset))


@implementer(IStretch)
@dataclass(frozen=True)
class FakeStretch:
    """A stretch of a file."""

    descriptor: int
    offset: int
    size: int


class FileBody(ScriptedBody):
    """A body whose octets from `start` on lie in a file, which has `prefix` before them."""

    prefix = b"something else"

    def __init__(self, path: str, size_bytes: int, start: int = 0) -> None:
        super().__init__(size_bytes)
        self.path, self.start = path, start
        self.is_at_hand = True
        self.stretches = 0
        with open(path, "wb") as file:
            file.write(self.prefix + self.content(start, size_bytes - start))
        self.descriptor = os.open(path, os.O_RDONLY)

    def content(self, offset: int, size: int) -> bytes:
        """What stands at `offset`."""
        return CONTENT[offset : offset + size]

    def stretch(self, offset: int, size: int) -> IStretch | None:
        """As it lies there."""
        if offset < self.start or not self.is_at_hand:
            return None
        self.stretches += 1
        place = len(self.prefix) + offset - self.start
        stretch: IStretch = FakeStretch(self.descriptor, place, min(size, self.size_bytes - offset))
        return stretch


class SendingCase(SiteCase):
    """Clients that come over TCP."""

    def setUp(self) -> None:
        """Put the kernel in."""
        super().setUp()
        self.patch(sending, "sendfile", sendfile)
        self.addCleanup(Plain.made.clear)
        self.bodies = 0

    def body(self, size_bytes: int = MANY, start: int = 0) -> FileBody:
        """A film in a file."""
        self.bodies += 1
        body = FileBody(f"{self.mktemp()}-{self.bodies}", size_bytes, start)
        self.addCleanup(os.close, body.descriptor)
        return body

    def play(self, body: FileBody, room_bytes: int | None = None, *headers: bytes) -> Plain:
        """A client that asks for the film, and takes so much of it."""
        self.show(FilmArchive(body))
        self.site.fast_path = fast_path(self.history)
        connection = Plain(self.site, self.clock, room_bytes)
        connection.send(get(FILM, *headers))
        return connection


class SendingTests(SendingCase):
    """What is in a file, and was checked, is sent by the kernel."""

    def test_whole(self) -> None:
        """A film is sent whole, with the same head as ever, and nothing of it is read."""
        body = self.body()
        connection = self.play(body)
        (answer,) = connection.answers()
        self.assertEqual(answer.body, body.content(0, MANY))
        self.assertEqual(answer.headers["content-length"], str(MANY))
        self.assert_everywhere(answer)
        self.assertEqual(sum(size for _, size in body.reads), 77)
        self.assertLessEqual(max(size for _, size in connection.asked), STRETCH_BYTES)
        self.assertEqual(connection.held_bytes, 0)
        connection.send(get(FILM, b"Range: bytes=70000-200000"))
        self.assertEqual(connection.answers()[1].body, body.content(70_000, 130_001))

    def test_head_in_memory(self) -> None:
        """What stands before it in memory goes first, and what is not at hand is read between."""
        body = self.body(start=1_000)
        connection = self.play(body)
        self.assertEqual(connection.answers()[0].body, body.content(0, MANY))
        self.assertEqual(body.reads[0], (0, PIECE_BYTES))
        body = self.body()
        body.is_at_hand = False
        connection = self.play(body, 3 * PIECE_BYTES)
        body.is_at_hand = True
        connection.take(None)
        self.assertEqual(connection.answers()[0].body, body.content(0, MANY))
        self.assertLess(len(body.reads), 7)

    def test_small_parts(self) -> None:
        """A few octets are not worth it."""
        body = self.body()
        connection = self.play(body, None, b"Range: bytes=0-%d" % (LEAST_STRETCH_BYTES - 2))
        self.assertEqual(len(connection.answers()[0].body), LEAST_STRETCH_BYTES - 1)
        self.assertEqual((connection.asked, body.stretches), ([], 0))

    def test_head_and_not_modified(self) -> None:
        """HEAD, and who has it already, get nothing of it."""
        body = self.body()
        connection = self.play(body, None, b'If-None-Match: "scripted"')
        self.assertEqual([one.status for one in connection.answers()], [304])
        connection.send(get(FILM, method="HEAD"))
        self.assertTrue(connection.received.endswith(b"\r\n\r\n"))
        self.assertEqual((connection.asked, body.reads), ([], []))

    def test_slow_client(self) -> None:
        """A client that takes little is sent little, nothing is held for it, and it may take as
        long as it likes as long as it goes on; other requests of it wait."""
        body = self.body()
        connection = self.play(body, 0)
        connection.send(get("/"))
        for _ in range(18):
            connection.take(PIECE_BYTES)
            self.assertLess(connection.held_bytes, 2_000)
            self.assertEqual(self.site.answers.held_bytes, 0)
            connection.pass_time(USUAL.stall_seconds - 1)
            self.assertTrue(connection.is_open)
        connection.take(None)
        self.assertEqual(connection.answers()[0].body, body.content(0, MANY))
        self.assertEqual(len(self.scripted.requests), 1)

    def test_client_that_takes_nothing(self) -> None:
        """A client that does not take a piece in time is broken off, however it dribbles."""
        for dribble in (0, 100):
            connection = self.play(self.body(), PIECE_BYTES)
            for _ in range(3):
                connection.take(dribble)
                connection.pass_time(USUAL.stall_seconds / 3 + 1)
            self.assertFalse(connection.is_open)

    def test_client_that_is_gone(self) -> None:
        """Who leaves has nothing sent any more, and nothing is kept of it."""
        body = self.body()
        connection = self.play(body, PIECE_BYTES)
        connection.vanish()
        self.assertEqual(self.site.answering, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_rights_that_are_gone(self) -> None:
        """A film is broken off as soon as whoever asked for it may not have it any more."""
        connection = self.play(self.body(), PIECE_BYTES)
        self.patch(self.site.gate, "is_current", lambda principal: False)
        self.site.tick()
        connection.turn()
        self.assertFalse(connection.is_open)
        self.assertLess(len(connection.received), 2 * PIECE_BYTES)

    def test_a_file_that_has_become_shorter(self) -> None:
        """Where the file ends too early, what is missing is read, and so found to be damaged."""
        body = self.body()
        body.damaged_at = STRETCH_BYTES + 100
        connection = self.play(body, PIECE_BYTES)
        os.truncate(body.path, STRETCH_BYTES + len(body.prefix))
        connection.take(None)
        self.assertFalse(connection.is_open)
        self.assertLess(len(connection.received), STRETCH_BYTES + 2_000)
        self.assertEqual(body.reads[0][0], STRETCH_BYTES)

    def test_a_kernel_that_cannot(self) -> None:
        """Where the kernel cannot send it, it is read and written from there on."""
        for error in (errno.EINVAL, errno.EIO):
            body = self.body()
            connection = self.play(body, PIECE_BYTES)
            connection.error = error
            connection.take(None)
            connection.turn()
            self.assertEqual(connection.answers()[0].body, body.content(0, MANY))
            count = len(connection.asked)
            connection.send(get(FILM))
            self.assertEqual(len(connection.answers()), 2)
            self.assertEqual(len(connection.asked), count)

    def test_other_transports(self) -> None:
        """Over TLS, and over what has no socket, everything is read and written."""
        self.patch(Plain, "TLS", True)
        body = self.body()
        self.assertEqual(self.play(body).answers()[0].body, body.content(0, MANY))
        self.assertEqual(body.stretches, 0)
        self.assertFalse(sending.can_send_files(self.connect()))

    def test_fairness(self) -> None:
        """A film gives way after each stretch, and all films of one turn after so many octets: what
        else there is has its turn."""
        body = self.body()
        connection = self.play(body, 0)
        connection.room_bytes = None
        for _ in range(9):
            count = len(connection.asked)
            connection.doWrite()
            self.assertLessEqual(len(connection.asked), count + 1)
        sent_bytes = sum(count for _, count in connection.asked)
        self.assertEqual(sent_bytes, MOST_SENT_BYTES)
        other = self.play(body)
        self.assertEqual(len(other.answers()[0].body), MANY)
        connection.turn()
        self.assertEqual(connection.answers()[0].body, body.content(0, MANY))

    def test_log(self) -> None:
        """What the kernel has sent is counted with the answer."""
        body = self.body()
        sent: list[int] = []
        log = type(self.site).log

        def noted(site: Any, request: Any) -> None:
            sent.append(request.sentLength)
            log(site, request)

        self.patch(type(self.site), "log", noted)
        self.play(body)
        self.assertEqual(sent, [MANY])
