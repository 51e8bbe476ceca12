"""The HTTP client against the real HTTP interface, in memory."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.server.api.histories import (
    BASE,
    DESK,
    DESK_PATH,
    GATE,
    GATE_MISSING,
    NOW_US,
    HistoryCase,
    data_of,
)
from tests.store.samples import EPOCH_US, INIT
from vidlink.client import Film, History
from vidlink.errors import BadAnswer, NotFound
from vidlink.httpjson.objects import SENTINEL, SESSION
from vidlink.model import (
    Cause,
    ClipQuery,
    Right,
    SegmentQuery,
    SentinelState,
    SessionQuery,
    SessionState,
)
from vidlink.server.api import parameters


class Sink:
    """Keeps what it is given."""

    def __init__(self, held: bytes = b"") -> None:
        self.film: Film | None = None
        self.data = held

    def begin(self, film: Film) -> None:
        """Bytes will come."""
        self.film = film
        self.data = self.data[: film.offset]

    def write(self, data: bytes) -> None:
        """Bytes have come."""
        self.data += data


class HistoryTests(HistoryCase):
    """Each call against the server that it is made for."""

    def setUp(self) -> None:
        """A client of it."""
        super().setUp()
        self.clock = Clock()
        self.history = History(BASE, treq=self.client, clock=self.clock)

    def result_of(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What a call returns; what it raises is raised."""
        waiting = Deferred.fromCoroutine(call)
        for _ in range(20):
            self.client.flush()
        self.assertTrue(waiting.called, "the call has not returned")
        return self.successResultOf(waiting)

    def error_of(self, kind: type[Exception], call: Coroutine[Any, Any, Any]) -> Any:
        """What a call raises."""
        waiting = Deferred.fromCoroutine(call)
        self.client.flush()
        return self.failureResultOf(waiting, kind).value

    async def listed(self, iterator: Any) -> list[Any]:
        """All that an iterator gives."""
        return [one async for one in iterator]

    def test_me(self) -> None:
        """What one may do, and the server's time."""
        me = self.result_of(self.history.me())
        self.assertEqual((me.may, me.access, me.groups), (tuple(Right), "closed", None))
        self.assertEqual(me.server_time_us, NOW_US)

    def test_sentinels(self) -> None:
        """Every Sentinel with its state; as JSON it is what the server said."""
        desk, gate = self.result_of(self.history.sentinels())
        self.assertEqual((desk.sentinel_id, desk.state), (DESK.sentinel_id, SentinelState.OFFLINE))
        self.assertEqual((gate.name, gate.state), (GATE.name, SentinelState.LIVE))
        self.assertEqual(gate.framerate_mhz, 5_000)
        said = self.get_json("/api/v1/sentinels")["sentinels"]
        self.assertEqual([SENTINEL.dump(one) for one in (desk, gate)], said)

    def test_sentinels_of_all_pages(self) -> None:
        """Where there are more Sentinels than on one page, all pages are fetched."""
        self.patch(parameters, "USUAL_SENTINELS", 1)
        found = self.result_of(self.history.sentinels())
        self.assertEqual([one.sentinel_id for one in found], [DESK.sentinel_id, GATE.sentinel_id])

    def test_sessions(self) -> None:
        """Sessions come over all pages, newest first, and filtered as asked."""
        every = self.result_of(self.listed(self.history.sessions(SessionQuery(limit=1))))
        self.assertEqual(
            [record.session.session_id for record in every], [GATE.session_id, DESK.session_id]
        )
        for query, wanted in (
            (SessionQuery(sentinel_id=DESK.sentinel_id), DESK),
            (SessionQuery(group=GATE.group), GATE),
            (SessionQuery(to_time_us=EPOCH_US + 1), DESK),
        ):
            (record,) = self.result_of(self.listed(self.history.sessions(query)))
            self.assertEqual(record.session.session_id, wanted.session_id)
        self.assertEqual(every[1].state, SessionState.ENDED)
        self.assertEqual(every[1].segment_count, 20)

    def test_session(self) -> None:
        """One session with spans and gaps; as JSON it is what the server said."""
        record = self.result_of(self.history.session(GATE.sentinel_id, GATE.session_id))
        self.assertEqual(record.session.width, GATE.width)
        self.assertEqual((record.spans[0].first, record.spans[0].last), (0, 6))
        declared = [gap for gap in record.gaps if gap.cause is Cause.DECLARED]
        self.assertEqual([(gap.first, gap.last) for gap in declared], [(12, 12)])
        path = f"/api/v1/sentinels/{GATE.sentinel_id}/sessions/{GATE.session_id}"
        self.assertEqual(SESSION.dump(record), self.get_json(path))

    def test_session_with_many_spans(self) -> None:
        """Of a session of which the server names the first spans alone, all gaps are put together
        from its pages; and one that does not say so names all."""
        whole = self.result_of(self.history.session(GATE.sentinel_id, GATE.session_id))
        store = self.store

        class Long:
            """The archive, if 7 were very many."""

            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

            def session(self, *ids: str) -> Any:
                found = store.archive.session(*ids)
                return found.addCallback(
                    lambda record: replace(
                        record, spans=record.spans[:1], gaps=record.gaps[-1:0], listed_to=6
                    )
                )

        archive: Any = Long()
        self.serve(archive)
        self.history = History(BASE, treq=self.client, clock=self.clock)
        record = self.result_of(self.history.session(GATE.sentinel_id, GATE.session_id))
        self.assertEqual(record.gaps, whole.gaps)
        self.assertEqual((len(record.spans), record.listed_to), (1, 6))
        plain = SESSION.dump(whole)
        del plain["listedTo"]
        self.assertIsNone(SESSION.load(plain).listed_to)

    def test_segments(self) -> None:
        """Segments come over all pages, in order, with what cannot be decoded marked."""
        found = self.result_of(
            self.listed(
                self.history.segments(GATE.sentinel_id, GATE.session_id, SegmentQuery(limit=3))
            )
        )
        there = [n for n in range(20) if n not in GATE_MISSING]
        self.assertEqual([segment.sequence for segment in found], there)
        self.assertEqual([one.sequence for one in found if one.is_undecodable], [13, 14])
        page = self.result_of(
            self.history.segment_page(
                GATE.sentinel_id, GATE.session_id, SegmentQuery(after=10, limit=2)
            )
        )
        self.assertEqual([one.sequence for one in page.segments], [11, 13])
        self.assertEqual(page.next, 13)

    def test_media(self) -> None:
        """Initialization segment and segments as they were received; what is missing is named."""
        ids = GATE.sentinel_id, GATE.session_id
        self.assertEqual(self.result_of(self.history.init(*ids)), INIT)
        data, missing = self.result_of(self.history.media(*ids, 6, 10))
        self.assertEqual((data, missing), (data_of(GATE, 6, 10), ((7, 9),)))
        self.error_of(BadAnswer, self.history.media(*ids, 0, 6, max_bytes=100))

    def test_recording(self) -> None:
        """A whole recording, the rest of one, and a new version from its beginning."""
        ids = DESK.sentinel_id, DESK.session_id
        whole = self.ask(DESK_PATH + "/recording.mp4")
        sink = Sink()
        film = self.result_of(self.history.recording(*ids, sink))
        self.assertEqual(sink.data, whole.body)
        self.assertEqual(film, Film(len(whole.body), 0, str(whole.header("ETag"))))
        rest = Sink(whole.body[:100])
        film = self.result_of(self.history.recording(*ids, rest, offset=100, etag=film.etag))
        self.assertEqual((film.offset, film.size_bytes), (100, len(whole.body)))
        self.assertEqual(rest.data, whole.body)
        other = Sink(b"x" * 100)
        film = self.result_of(self.history.recording(*ids, other, offset=100, etag='"other"'))
        self.assertEqual((film.offset, other.data), (0, whole.body))

    def test_recording_up_to(self) -> None:
        """A recording up to a sequence."""
        sink = Sink()
        ids = DESK.sentinel_id, DESK.session_id
        self.result_of(self.history.recording(*ids, sink, ClipQuery(last=3)))
        self.assertEqual(sink.data, self.ask(DESK_PATH + "/recording.mp4?last=3").body)

    def test_slow_sink(self) -> None:
        """While a sink is busy nothing more is read."""
        room: list[Deferred[None]] = []

        class Slow(Sink):
            def write(self, data: bytes) -> Any:
                super().write(data)
                room.append(Deferred())
                return room[-1]

        sink = Slow()
        ids = DESK.sentinel_id, DESK.session_id
        waiting = Deferred.fromCoroutine(self.history.recording(*ids, sink))
        self.client.flush()
        self.assertEqual(len(room), 1)
        for one in room:
            one.callback(None)
            self.client.flush()
        self.successResultOf(waiting)
        self.assertEqual(sink.data, self.ask(DESK_PATH + "/recording.mp4").body)

    def test_sink_that_fails(self) -> None:
        """What a sink raises ends the request, and comes out of the call."""

        class Full(Sink):
            def write(self, data: bytes) -> None:
                raise OSError(28, "No space left on device")

        ids = DESK.sentinel_id, DESK.session_id
        self.error_of(OSError, self.history.recording(*ids, Full()))

    def test_control(self) -> None:
        """Control reaches the Sentinel; an offline one is an error of its own."""
        self.result_of(self.history.request_keyframe(GATE.sentinel_id))
        taken = self.result_of(self.history.change_framerate(GATE.sentinel_id, 9_000))
        self.assertEqual(taken, 5_000)
        self.assertEqual(self.publisher.asked, ["keyframe", 5_000])
        self.error_of(NotFound, self.history.request_keyframe("nobody"))

    def test_errors(self) -> None:
        """An error answer becomes an exception with its code and its message."""
        error = self.error_of(NotFound, self.history.session(DESK.sentinel_id, "x" * 20))
        self.assertEqual(error.code, "not-found")
        self.assertIn("x" * 20, str(error))
        error = self.error_of(Exception, self.history.session_page(SessionQuery(limit=100_000)))
        self.assertEqual((error.code, error.http_status), ("bad-parameter", 400))
        self.assertIn("limit", str(error))

    def test_cancel(self) -> None:
        """A cancelled call ends as cancelled."""
        sink = Sink()
        stuck: Deferred[None] = Deferred()
        sink.write = lambda data: stuck  # type: ignore[method-assign,assignment]
        ids = DESK.sentinel_id, DESK.session_id
        waiting = Deferred.fromCoroutine(self.history.recording(*ids, sink))
        self.client.flush()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
