"""Tests of `vidlink.server.api.fast_path`: media is answered as by the table of paths."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from tests.fakes.store import MemoryStore
from tests.server.api.histories import DESK_PATH
from tests.server.api.test_bodies import ScriptedBody
from tests.server.port.test_site import SiteCase, get
from tests.server.sockets.opened import Answer, Connection
from vidlink.errors import Damaged
from vidlink.model import ALL, Clip, ClipQuery
from vidlink.server.api.bodies import PIECE_BYTES
from vidlink.server.api.fast_path import fast_path

FILM = DESK_PATH + "/recording.mp4"


class FilmArchive(MemoryStore):
    """An archive whose one film is a scripted body."""

    def __init__(self, body: ScriptedBody) -> None:
        super().__init__()
        self.body = body
        body.is_final = True

    def film(
        self,
        sentinel_id: str,
        session_id: str,
        query: ClipQuery = ALL,
        version: str | None = None,
    ) -> Deferred[tuple[Any, Clip]]:
        """The scripted body."""
        return succeed((self.body, Clip(0, 1, 0)))


class FastPathTests(SiteCase):
    """The same requests by both ways."""

    def both(self, data: bytes) -> Answer:
        """The answer to a request, which is the same by both ways."""
        answers = []
        for way in (lambda request: False, fast_path(self.history)):
            self.site.fast_path = way
            answers.append(self.ask(data))
        by_table, answer = answers
        self.assertEqual((answer.status, answer.body), (by_table.status, by_table.body))
        self.assertEqual(list(answer.headers), list(by_table.headers))
        self.assertEqual(answer.headers | {"date": ""}, by_table.headers | {"date": ""})
        self.assert_everywhere(answer)
        return answer

    def test_as_by_the_table(self) -> None:
        """Whatever is asked of a film, and with whatever words, is answered as ever."""
        whole = self.both(get(FILM + "?last=19", b'If-Range: "x"'))
        self.assertEqual(whole.status, 200)
        etag = whole.headers["etag"].encode("ascii")
        pinned = f"{FILM}?last=19&version={whole.headers['etag'][1:-1]}"
        for path, headers, status in (
            (FILM, (), 307),
            (FILM, (b"Range: bytes=5-",), 412),
            (pinned, (), 200),
            (pinned, (b"Range: bytes=5-80",), 206),
            (pinned, (b"Range: bytes=5-80", b"If-Range: " + etag), 206),
            (pinned, (b"Range: bytes=5-80", b'If-Range: "x"'), 200),
            (pinned, (b"Range: bytes=9999999-",), 416),
            (pinned, (b"If-None-Match: " + etag,), 304),
            (pinned, (b'If-Match: "x"',), 412),
            (FILM + "?version=" + "0" * 32, (), 412),
            (FILM + "?verson=1", (), 400),
            (FILM.replace("desk-1", "-"), (), 400),
            (FILM.replace("desk-1", "desk-9"), (), 404),
            (FILM.replace("desk-1", "desk%2D1"), (), 307),
            (FILM + "/", (), 404),
        ):
            self.assertEqual(self.both(get(path, *headers)).status, status, path)
        for method, status in (("POST", 405), ("OPTIONS", 200)):
            self.assertEqual(self.both(get(FILM, method=method)).status, status)

    def test_other_media(self) -> None:
        """So are segments, the initialization segment and the playlist."""
        for name, status in (
            ("init.mp4", 200),
            ("init.mp4?x=1", 400),
            ("index.m3u8", 200),
            ("segments/0", 200),
            ("segments/0.mp4", 200),
            ("segments/0-2.mp4", 200),
            ("segments/2-0", 400),
            ("segments/0-5000", 400),
            ("segments/" + "9" * 19, 400),
            ("segments/123456", 404),
            ("segments/x", 400),
            ("segments/0/1", 404),
        ):
            self.assertEqual(self.both(get(f"{DESK_PATH}/{name}")).status, status, name)
        etag = self.both(get(DESK_PATH + "/segments/0")).headers["etag"].encode("ascii")
        for header, status in ((b"Range: bytes=1-5", 206), (b"If-None-Match: " + etag, 304)):
            self.assertEqual(self.both(get(DESK_PATH + "/segments/0", header)).status, status)

    def test_it_is_taken(self) -> None:
        """Media is answered without the table, and nothing else is."""
        way = fast_path(self.history)
        taken: list[bytes] = []

        def noted(request: Any) -> bool:
            is_taken = way(request)
            taken.extend([request.path] * is_taken)
            return is_taken

        self.site.fast_path = noted
        media = [
            FILM,
            *(f"{DESK_PATH}/{name}" for name in ("init.mp4", "index.m3u8", "segments/0")),
        ]
        for path in (*media, DESK_PATH, DESK_PATH + "/segments", FILM + "?last=1"):
            self.ask(get(path))
        self.assertEqual(taken, [path.encode("ascii") for path in (*media, FILM)])

    def play(self, body: ScriptedBody, room_bytes: int | None = None) -> Connection:
        """A client that asks for a scripted film."""
        self.show(FilmArchive(body))
        self.site.fast_path = fast_path(self.history)
        return self.connect(get(FILM), room_bytes)

    def test_damage(self) -> None:
        """Damage at once is an error, and damage behind the header breaks the answer off."""
        (answer,) = self.play(ScriptedBody(3 * PIECE_BYTES, damaged_at=5)).answers()
        self.assertEqual((answer.status, answer.error_code), (500, Damaged.code))
        connection = self.play(ScriptedBody(3 * PIECE_BYTES, damaged_at=2 * PIECE_BYTES))
        self.assertFalse(connection.is_open)
        self.assertLess(len(connection.received), 3 * PIECE_BYTES)

    def test_client_that_is_gone(self) -> None:
        """Who leaves before or in an answer has nothing read any more, and no error is logged."""
        for is_begun in (False, True):
            body = ScriptedBody(3 * PIECE_BYTES, held=True)
            connection = self.play(body)
            if is_begun:
                body.release()
                connection.turn()
            connection.vanish()
            self.assertEqual(body.cancelled, 1)
        self.assertEqual(self.site.answering, set())

    def test_bug(self) -> None:
        """A bug is an error that says nothing of itself, and stands in the log."""
        body = ScriptedBody(3 * PIECE_BYTES)
        body.content = lambda offset, size: b"x" * (size // (offset > 0))  # type: ignore[method-assign]
        (answer,) = self.play(body).answers()
        self.assertEqual(answer.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
