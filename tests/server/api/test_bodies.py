"""Tests of `vidlink.server.api.bodies`, through the paths of `vidlink.server.api.history`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.web.server import Site
from zope.interface import implementer

from tests.fakes.gates import ANYBODY, anybody
from tests.fakes.store import MemoryStore
from tests.fmp4.movies import media_of
from tests.server.api.histories import (
    BASE,
    DESK,
    DESK_PATH,
    GATE,
    GATE_PATH,
    NOW_US,
    HistoryCase,
    Seen,
    arrival_of,
    data_of,
    recorded,
)
from tests.server.sockets.opened import Connection
from tests.store.samples import EPOCH_US, INIT, a_session
from vidlink.errors import Damaged
from vidlink.interfaces import IBody, IStretch
from vidlink.model import Cause, Gap
from vidlink.server.api.bodies import PIECE_BYTES
from vidlink.server.api.history import Api

FILM = DESK_PATH + "/recording.mp4"
#: The same, of a session that is not sealed, without a redirect.
UP_TO = FILM + "?last=19"
GATE_IDS = GATE.sentinel_id, GATE.session_id
DAY_US = 86_400_000_000


class MediaTests(HistoryCase):
    """Media over HTTP, whole and in part."""

    def test_init(self) -> None:
        """The initialization segment, as it was received, for ever the same."""
        seen = self.ask(DESK_PATH + "/init.mp4")
        self.assertEqual((seen.status, seen.body), (200, INIT))
        self.assert_media(seen, immutable=True)

    def test_one_segment(self) -> None:
        """One segment, as it was received, for ever the same."""
        for sequence in (0, 19):
            seen = self.ask(f"{DESK_PATH}/segments/{sequence}")
            self.assertEqual((seen.status, seen.body), (200, data_of(DESK, sequence)))
            self.assert_media(seen, immutable=True)
            self.assertIsNone(seen.header("VidLink-Missing"))

    def test_what_never_changes_but_may_be_out_of_bounds(self) -> None:
        """The browser of whoever has logged in asks again each time: the login may have ended by
        then, and it would show what it has kept to whoever comes next."""
        self.serve(self.store, replace(ANYBODY, credential_id="login:1"))
        for path in ("/init.mp4", "/segments/0", "/recording.mp4"):
            self.assert_media(self.ask(DESK_PATH + path), immutable=False)

    def test_several_segments(self) -> None:
        """Several segments in one body, in order."""
        seen = self.ask(DESK_PATH + "/segments/3-17")
        self.assertEqual((seen.status, seen.body), (200, data_of(DESK, *range(3, 18))))
        self.assert_media(seen, immutable=True)

    def test_missing_segments(self) -> None:
        """What is missing is named in a header; what may still come is asked for again."""
        seen = self.ask(GATE_PATH + "/segments/6-25")
        self.assertEqual(seen.body, data_of(GATE, 6, 10, 11, *range(13, 20)))
        self.assertEqual(seen.header("VidLink-Missing"), "7-9, 12-12, 20-25")
        self.assert_media(seen, immutable=False)

    def test_only_missing_segments(self) -> None:
        """Where nothing is recorded there is no empty video but an error."""
        for numbers in ("8", "7-9", "12", "20-30"):
            seen = self.ask(f"{GATE_PATH}/segments/{numbers}")
            self.assert_error(seen, 404, "not-found", numbers.split("-")[0])

    def test_recording(self) -> None:
        """The recording is one file: a head, and every segment that can be decoded."""
        seen = self.ask(FILM)
        self.assertEqual(seen.status, 200)
        self.assertEqual(media_of(seen.body), data_of(DESK, *range(20)))
        self.assert_media(seen, immutable=True)
        self.assertEqual(seen.header("VidLink-Start"), str(EPOCH_US))
        self.assertEqual(
            seen.header("Content-Disposition"),
            'attachment; filename="desk-1-20240101T000000Z.mp4"',
        )

    def test_recording_that_may_grow(self) -> None:
        """The recording of a session that is not sealed is elsewhere: under an address at which
        there is nothing else, ever."""
        asked = self.client.get(BASE + FILM, allow_redirects=False)
        self.client.flush()
        seen = self.successResultOf(asked)
        self.assertEqual((seen.code, seen.length), (307, 0))
        (where,) = seen.headers.getRawHeaders("Location")
        self.assertRegex(where, r"^recording\.mp4\?last=19&version=[0-9a-f]{32}$")
        (caching,) = seen.headers.getRawHeaders("Cache-Control")
        # By the first FFmpeg stays there, by the last everybody else asks again.
        self.assertRegex(caching, "^s-maxage=[0-9]{8}, private, max-age=0$")
        pinned = f"{DESK_PATH}/{where}"
        film = self.ask(pinned)
        self.assertEqual(film.body, self.ask(FILM).body)
        self.assertEqual(film.header("ETag"), f'"{where[-32:]}"')
        # What comes late changes it.
        self.assertEqual(self.ask(f"{FILM}?last=12&version={where[-32:]}").status, 412)
        seen = self.ask(pinned.replace("last=19", "last=18"), {"Range": "bytes=0-1"})
        self.assert_error(seen, 412, "precondition-failed", "version", "recording.mp4")
        self.assert_error(self.ask(FILM + "?version=ABC"), 400, "bad-parameter", "version")

    def test_the_rest_of_what_may_grow(self) -> None:
        """Who asks for the rest of a recording that may change, and does not say of which, gets
        no rest of another one; who says so gets it, or all of the one of now."""
        for path in (FILM, UP_TO, UP_TO + "&start=0"):
            for asked in ("bytes=700-", "bytes=1-5", "bytes=-9"):
                seen = self.ask(path, {"Range": asked})
                self.assert_error(seen, 412, "precondition-failed", "Range")
            self.assertEqual(self.ask(path, {"Range": "bytes=0-99"}).status, 206)
            whole = self.ask(path)
            part = {"Range": "bytes=700-", "If-Range": whole.header("ETag") or ""}
            self.assertEqual(self.ask(path, part).body, whole.body[700:])
            self.assertEqual(self.ask(path, part | {"If-Range": '"other"'}).body, whole.body)
        sealed = MemoryStore(wall_clock_us=lambda: NOW_US + 2 * DAY_US)
        recorded(sealed, DESK)
        sealed.end(DESK.session_id, "over", NOW_US)
        self.serve(sealed)
        self.assertEqual(self.ask(FILM, {"Range": "bytes=700-"}).status, 206)

    def test_recording_that_has_grown(self) -> None:
        """What was opened stays what it was, while the session goes on; a range too."""
        path = GATE_PATH + "/recording.mp4"
        for bounds in ("", f"?start={GATE.started_time_us + 2_100_000}"):
            asked = self.client.get(BASE + path + bounds, allow_redirects=False)
            self.client.flush()
            (where,) = self.successResultOf(asked).headers.getRawHeaders("Location")
            before = self.ask(f"{GATE_PATH}/{where}")
            sequence = self.store.film(*GATE_IDS)
            newest = self.successResultOf(sequence)[1].last
            self.store.append(GATE.session_id, arrival_of(GATE, newest + 1))
            after = self.ask(f"{GATE_PATH}/{where}", {"Range": "bytes=900-1500"})
            self.assertEqual((after.status, after.body), (206, before.body[900:1501]))
            self.assertEqual(after.header("VidLink-Start"), before.header("VidLink-Start"))
            self.assertNotEqual(self.ask(path + bounds).header("ETag"), before.header("ETag"))

    def test_recording_up_to_what_may_come(self) -> None:
        """Also with ``last`` who opens a recording is sent to where it stays: whoever seeks in it
        gets no octet of another film when it has grown, or when what was missing has come late.
        Who says of which version the rest is to be is answered where they ask."""
        path = GATE_PATH + "/recording.mp4?last=24"
        asked = self.client.get(BASE + path, allow_redirects=False)
        self.client.flush()
        seen = self.successResultOf(asked)
        (where,) = seen.headers.getRawHeaders("Location")
        self.assertEqual(seen.code, 307)
        self.assertRegex(where, r"^recording\.mp4\?last=24&version=[0-9a-f]{32}$")
        before = self.ask(f"{GATE_PATH}/{where}")
        part = {"Range": "bytes=900-1500", "If-Range": before.header("ETag") or ""}
        asked = self.client.get(BASE + path, headers=part, allow_redirects=False)
        self.client.flush()
        self.assertEqual(self.successResultOf(asked).code, 206)
        for sequence in (20, 7, 8, 9):
            self.store.append(GATE.session_id, arrival_of(GATE, sequence))
            after = self.ask(f"{GATE_PATH}/{where}", {"Range": "bytes=900-1500"})
            if after.status != 412:
                self.assertEqual((after.status, after.body), (206, before.body[900:1501]))
        self.assertNotEqual(self.ask(path).header("ETag"), before.header("ETag"))

    def test_recording_up_to(self) -> None:
        """``last`` pins the end, and with it the validator, while the session goes on."""
        seen = self.ask(GATE_PATH + "/recording.mp4?last=5")
        self.assertTrue(seen.body.endswith(data_of(GATE, *range(6))))
        self.store.gap(GATE.session_id, Gap(20, 20, Cause.DECLARED))
        again = self.ask(GATE_PATH + "/recording.mp4?last=5")
        self.assertEqual(again.header("ETag"), seen.header("ETag"))
        self.assertNotEqual(
            self.ask(GATE_PATH + "/recording.mp4").header("ETag"), seen.header("ETag")
        )

    def test_sealed_recording(self) -> None:
        """A sealed session's recording never changes again."""
        store = MemoryStore(wall_clock_us=lambda: NOW_US + 2 * DAY_US)
        store.begin(DESK, lambda sequence: None)
        store.end(DESK.session_id, "over", NOW_US)
        self.serve(store)
        self.assert_media(self.ask(FILM), immutable=True)

    def test_recording_of_nothing(self) -> None:
        """A session without segments has a recording too, named after its start."""
        session = a_session(59)
        self.store.begin(session, lambda sequence: None)
        path = f"/api/v1/sentinels/desk-1/sessions/{session.session_id}/recording.mp4"
        seen = self.ask(path)
        self.assertEqual((seen.status, seen.body), (200, INIT))
        self.assertIn("desk-1-20240101T005900Z.mp4", seen.header("Content-Disposition") or "")

    def test_recording_of_another_age(self) -> None:
        """A session whose Sentinel's clock was beyond all years can be downloaded."""
        for number, time_us in enumerate((2**62, -(2**62))):
            session = a_session(70 + number)
            object.__setattr__(session, "started_time_us", time_us)
            self.store.begin(session, lambda sequence: None)
            path = f"/api/v1/sentinels/desk-1/sessions/{session.session_id}/recording.mp4"
            self.assertIn(f"desk-1-{time_us}us.mp4", self.ask(path).header("Content-Disposition"))

    def test_range(self) -> None:
        """A part of a recording is a 206 that says which."""
        pinned = self.stays(FILM)
        whole = self.ask(pinned)
        size = len(whole.body)
        for asked, first, last in (
            ("bytes=0-99", 0, 99),
            ("bytes=100-", 100, size - 1),
            ("bytes=-15", size - 15, size - 1),
            ("bytes=10-99999999", 10, size - 1),
        ):
            seen = self.ask(pinned, {"Range": asked})
            self.assertEqual((seen.status, seen.body), (206, whole.body[first : last + 1]), asked)
            self.assertEqual(seen.header("Content-Range"), f"bytes {first}-{last}/{size}")
            self.assertEqual(
                seen.header("Content-Disposition"), whole.header("Content-Disposition")
            )
            self.assert_media(seen, immutable=True)
        for path in (DESK_PATH + "/init.mp4", DESK_PATH + "/segments/0-19"):
            self.assertEqual(self.ask(path, {"Range": "bytes=0-0"}).status, 206)

    def test_range_not_satisfiable(self) -> None:
        """A range after the end is a 416 that says where the end is."""
        pinned = self.stays(FILM)
        size = len(self.ask(pinned).body)
        seen = self.ask(pinned, {"Range": f"bytes={size}-"})
        self.assert_error(seen, 416, "range-not-satisfiable", str(size))
        self.assertEqual(seen.header("Content-Range"), f"bytes */{size}")

    def test_several_ranges(self) -> None:
        """Several ranges, and what is no range, are answered with the whole."""
        pinned = self.stays(FILM)
        whole = self.ask(pinned).body
        for asked in ("bytes=0-1,5-6", "bytes=٣-٤".encode(), "bytes=5-2", "lines=1-2"):
            seen = self.ask(pinned, {"Range": asked})  # type: ignore[dict-item]
            self.assertEqual((seen.status, seen.body), (200, whole), asked)

    def test_resume(self) -> None:
        """``If-Range`` gives the part of the same version, and the whole of another."""
        whole = self.ask(UP_TO)
        etag = whole.header("ETag") or ""
        for if_range, status in ((etag, 206), ('"other"', 200), ("W/" + etag, 200)):
            seen = self.ask(UP_TO, {"Range": "bytes=5-6", "If-Range": if_range})
            self.assertEqual(seen.status, status)

    def test_preconditions(self) -> None:
        """304 for a version that the client has, 412 if it insists on another."""
        for path in (FILM, DESK_PATH + "/init.mp4", DESK_PATH + "/segments/4"):
            whole = self.ask(path)
            etag = whole.header("ETag") or ""
            seen = self.ask(path, {"If-None-Match": etag, "Range": "bytes=0-1"})
            self.assertEqual((seen.status, seen.body), (304, b""))
            for name in ("ETag", "Cache-Control"):
                self.assertEqual(seen.header(name), whole.header(name))
            self.assertEqual(self.ask(path, {"If-Match": etag}).status, 200)
            seen = self.ask(path, {"If-Match": '"other"', "Range": "bytes=0-1"})
            self.assert_error(seen, 412, "precondition-failed")

    def test_head(self) -> None:
        """HEAD reads no media, ignores ranges, and has the headers of GET."""
        for path in (FILM, DESK_PATH + "/segments/4-6"):
            get, head = self.ask(path), self.ask(path, {"Range": "bytes=0-1"}, method="HEAD")
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("Content-Type", "ETag", "Accept-Ranges", "Content-Disposition"):
                self.assertEqual(head.header(name), get.header(name))

    def assert_media(self, seen: Seen, *, immutable: bool) -> None:
        """The headers that every answer with media has."""
        self.assertEqual(seen.header("Content-Type"), "video/mp4")
        self.assertEqual(seen.header("Accept-Ranges"), "bytes")
        self.assertEqual(seen.length, len(seen.body))
        self.assertRegex(seen.header("ETag") or "", '^"[!-~]+"$')
        caching = "private, max-age=31536000, immutable" if immutable else "private, no-cache"
        self.assertEqual(seen.header("Cache-Control"), caching)


@implementer(IBody)
class ScriptedBody:
    """A large body that counts what is read of it, and fails where it is told to.

    :param held: every read waits for :meth:`release`.
    """

    etag = "scripted"
    is_final = False
    modified_us: int | None = 1_700_000_000_900_000

    def __init__(self, size_bytes: int, damaged_at: int | None = None, held: bool = False) -> None:
        self.size_bytes = size_bytes
        self.damaged_at = size_bytes if damaged_at is None else damaged_at
        self.held = held
        self.reads: list[tuple[int, int]] = []
        self.cancelled = 0
        self._waiting: Deferred[bytes] | None = None

    def content(self, offset: int, size: int) -> bytes:
        """What stands at `offset`."""
        return b"".join(b"%07d\n" % n for n in range(offset // 8, (offset + size) // 8 + 1))[
            offset % 8 : offset % 8 + size
        ]

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        """Read, or fail, or wait."""
        self.reads.append((offset, size))
        if offset + size > self.damaged_at:
            self.damaged_at = 0
            raise Damaged("a segment is not what was recorded")
        if self.held:
            self._waiting = Deferred(self._cancel)
            return self._waiting
        return succeed(self.content(offset, size))

    def stretch(self, offset: int, size: int) -> IStretch | None:
        """It is in no file."""
        return None

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """Each piece has to be read."""
        return None

    def again(self) -> IBody | None:
        """Who wants it again has to ask."""
        return None

    def release(self) -> None:
        """Answer the read that waits."""
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        waiting.callback(self.content(*self.reads[-1]))

    def _cancel(self, waiting: Deferred[bytes]) -> None:
        self.cancelled += 1


class ScriptedArchive(MemoryStore):
    """An archive whose media is one scripted body."""

    def __init__(self, body: ScriptedBody) -> None:
        super().__init__()
        self.body = body
        self.asked = 0

    def media(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[Any, tuple[tuple[int, int], ...]]]:
        """The scripted body."""
        self.asked += 1
        return succeed((self.body, ()))


class FlowTests(HistoryCase):
    """Large bodies, and clients that are slow, or gone."""

    MANY = 40 * PIECE_BYTES + 5

    def get(
        self, body: ScriptedBody, room_bytes: int | None = None, headers: bytes = b""
    ) -> Connection:
        """A client that asks for the scripted body and takes `room_bytes` of the answer."""
        self.clock = MemoryReactorClock()
        self.archive = ScriptedArchive(body)
        history = Api(
            self.archive,
            self.hub,
            self.store,
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=anybody,
        )
        site = Site(history.resource(), reactor=self.clock)
        connection = Connection(site, self.clock, room_bytes)
        path = (DESK_PATH + "/segments/0-9").encode()
        connection.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        return connection

    def test_whole(self) -> None:
        """A large body arrives whole, read once, in order, in pieces."""
        body = ScriptedBody(self.MANY)
        (answer,) = self.get(body).answers()
        self.assertEqual(answer.body, body.content(0, self.MANY))
        self.assertEqual(sum(size for _, size in body.reads), self.MANY)
        self.assertEqual(max(size for _, size in body.reads), PIECE_BYTES)

    def test_part(self) -> None:
        """A large part arrives whole, and nothing around it is read."""
        body = ScriptedBody(self.MANY)
        last = self.MANY - 4
        connection = self.get(body, headers=b"Range: bytes=300007-%d\r\n" % last)
        (answer,) = connection.answers()
        self.assertEqual(answer.status, 206)
        self.assertEqual(answer.body, body.content(300_007, last - 300_006))
        self.assertEqual((body.reads[0][0], sum(body.reads[-1])), (300_007, last + 1))

    def test_small_part(self) -> None:
        """A few bytes cost a few bytes."""
        body = ScriptedBody(self.MANY)
        self.get(body, headers=b"Range: bytes=5-9\r\n")
        self.assertEqual(body.reads, [(5, 5)])

    def test_slow_client(self) -> None:
        """A client that takes nothing costs one piece, and the next is read when it took that."""
        body = ScriptedBody(self.MANY)
        connection = self.get(body, room_bytes=0)
        self.assertEqual(len(body.reads), 1)
        for count in range(2, 6):
            connection.take(PIECE_BYTES + 2_000)
            self.assertEqual(len(body.reads), count)
        connection.take(None)
        self.assertEqual(connection.answers()[0].body, body.content(0, self.MANY))

    def test_vanished_client(self) -> None:
        """Nothing is read any more for a client that is gone, whether it was waiting or not."""
        body = ScriptedBody(self.MANY)
        connection = self.get(body, room_bytes=0)
        connection.vanish()
        self.assertEqual(len(body.reads), 1)
        body = ScriptedBody(self.MANY, held=True)
        connection = self.get(body)
        body.release()
        connection.turn()
        self.assertEqual(len(body.reads), 2)
        connection.vanish()
        self.assertEqual((len(body.reads), body.cancelled), (2, 1))

    def test_vanished_before_the_header(self) -> None:
        """The same holds before anything was sent."""
        body = ScriptedBody(self.MANY, held=True)
        connection = self.get(body)
        self.assertEqual(connection.received, b"")
        connection.vanish()
        self.assertEqual((len(body.reads), body.cancelled), (1, 1))

    def test_slow_disk(self) -> None:
        """Reads that take their time are waited for, one at a time."""
        body = ScriptedBody(3 * PIECE_BYTES, held=True)
        connection = self.get(body)
        for count in (1, 2, 3):
            connection.turn()
            self.assertEqual(len(body.reads), count)
            body.release()
        connection.turn()
        self.assertEqual(connection.answers()[0].body, body.content(0, 3 * PIECE_BYTES))

    def test_head(self) -> None:
        """HEAD tells the size and reads nothing."""
        body = ScriptedBody(self.MANY)
        clock = MemoryReactorClock()
        history = Api(
            ScriptedArchive(body),
            self.hub,
            self.store,
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=anybody,
        )
        connection = Connection(Site(history.resource(), reactor=clock), clock)
        path = (DESK_PATH + "/segments/0-9").encode()
        connection.send(b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"Content-Length: %d\r\n" % self.MANY, connection.received)
        self.assertTrue(connection.received.endswith(b"\r\n\r\n"))
        self.assertEqual(body.reads, [])

    def test_damaged_at_once(self) -> None:
        """Damage in the first piece is a proper error."""
        connection = self.get(ScriptedBody(self.MANY, damaged_at=10))
        (answer,) = connection.answers()
        self.assertEqual((answer.status, answer.error_code), (500, "damaged"))
        self.assertTrue(connection.is_open)

    def test_damaged_later(self) -> None:
        """Damage after the header breaks the connection, so that nobody takes it for whole."""
        pipelined = b"\r\nGET " + DESK_PATH.encode() + b"/segments/0-9 HTTP/1.1\r\nHost: x\r\n"
        body = ScriptedBody(self.MANY, damaged_at=3 * PIECE_BYTES + 1)
        connection = self.get(body, headers=pipelined)
        self.assertFalse(connection.is_open)
        self.assertEqual(self.archive.asked, 1)
        self.assertLess(len(connection.received), self.MANY)
        self.assertGreater(len(connection.received), PIECE_BYTES)
        self.assertEqual(connection.received.count(b"HTTP/1.1"), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bug_in_mid_body(self) -> None:
        """A bug breaks the connection too, and its traceback is in the log."""
        body = ScriptedBody(self.MANY)
        body.content = lambda offset, size: b"x" * (size // (offset == 0))  # type: ignore[method-assign]
        connection = self.get(body)
        self.assertFalse(connection.is_open)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_short_read(self) -> None:
        """A body that ends before its size is damaged too."""
        body = ScriptedBody(self.MANY)
        body.size_bytes += 10
        body.damaged_at = body.size_bytes
        body.content = lambda offset, size: b"x" * min(size, self.MANY - offset)  # type: ignore[method-assign]
        connection = self.get(body)
        self.assertFalse(connection.is_open)
        self.assertEqual(self.flushLoggedErrors(), [])
