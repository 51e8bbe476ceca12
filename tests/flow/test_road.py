"""Tests of the whole road in memory: Sentinel, server, Proctor and history."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.fakes import media
from tests.fakes.peers import FakeProctorPeer
from tests.fmp4.movies import media_of
from tests.links.memory import BINARY, FIRST, JSON, SECOND, LinkCase
from vidlink.errors import NotFound
from vidlink.fmp4 import read_fragment, read_init
from vidlink.messages import (
    FramerateChange,
    KeyframeRequest,
    Sentinels,
    SessionEnded,
    Skipped,
    StartFrom,
    Subscribe,
    Subscribed,
)
from vidlink.model import (
    USUAL,
    Cause,
    Gap,
    InitSegment,
    Segment,
    SegmentQuery,
    SessionQuery,
)


class RoadCase(LinkCase):
    """Reads back what has been recorded."""

    def history(self, sentinel: str, session: str, first: int, last: int) -> bytes:
        """The recorded bytes of these sequences, of which none may be missing."""
        media_of = self.server.store.media(sentinel, session, first, last)
        body, missing = self.successResultOf(media_of)
        self.assertEqual(missing, ())
        return self.whole(body)

    def whole(self, body: Any) -> bytes:
        """All of a body."""
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        self.assertEqual(len(data), body.size_bytes)
        return data

    def gaps(self, sentinel: str, session: str) -> tuple[Gap, ...]:
        """What history says is missing of a session."""
        return self.successResultOf(self.server.store.session(sentinel, session)).gaps

    def watching(self, *names: str, codec: Any = BINARY, **wishes: Any) -> FakeProctorPeer:
        """A Proctor that watches these Sentinels and has read all there is."""
        proctor = self.server.proctor(codec)
        for name in names:
            proctor.say(Subscribe(name, **wishes))
        proctor.read()
        return proctor

    def seen(self, proctor: FakeProctorPeer, sentinel: str, session: str) -> dict[int, bytes]:
        """What a Proctor has been sent of a session: the bytes by sequence."""
        return {
            message.sequence: bytes(message.data)
            for message in proctor.all_heard(Segment)
            if (message.sentinel_id, message.session_id) == (sentinel, session)
        }


class RoadTests(RoadCase):
    """What is sent is what is seen, and what is kept."""

    def test_byte_for_byte(self) -> None:
        """Live viewers of both formats and history have the very bytes that were sent."""
        sentinel = self.server.live()
        viewers = [self.watching("desk-1", codec=codec) for codec in (BINARY, JSON)]
        sent = {}
        for number in range(25):
            sent[number] = sentinel.segment(number, filler_bytes=number * 40)
            for viewer in viewers:
                viewer.read()
            self.server.second(0.2)
        for viewer in viewers:
            self.assertEqual(self.seen(viewer, "desk-1", sentinel.session_id), sent)
            self.assertEqual(viewer.all_heard(Skipped), [])
            (init,) = viewer.all_heard(InitSegment)
            self.assertEqual(bytes(init.data), media.init_segment())
        for first, last in ((0, 24), (7, 7), (3, 12)):
            self.assertEqual(
                self.history("desk-1", sentinel.session_id, first, last),
                b"".join(sent[number] for number in range(first, last + 1)),
            )

    def test_film(self) -> None:
        """The recording as one film is a head, and the segments as sent."""
        sentinel = self.server.live()
        sent = b"".join(sentinel.segment(number) for number in range(25))
        found = self.server.store.film("desk-1", sentinel.session_id)
        film = self.whole(self.successResultOf(found)[0])
        self.assertEqual(media_of(film), sent)

    def test_listing(self) -> None:
        """History lists each segment with what its Sentinel said of it and when it came."""
        sentinel = self.server.live()
        for number in range(3):
            sentinel.segment(number, framerate_mhz=1_000 * (number + 1))
        page = self.successResultOf(
            self.server.store.segments("desk-1", sentinel.session_id, SegmentQuery())
        )
        for number, row in enumerate(page.segments):
            self.assertEqual((row.sequence, row.is_keyframe), (number, number == 0))
            self.assertEqual(row.start_time_us, media.start_time_us(number))
            self.assertEqual(row.framerate_mhz, 1_000 * (number + 1))
            self.assertEqual(row.media_time, number * media.FRAME_TICKS)
            self.assertEqual(row.received_time_us, self.server.now_us())

    def test_a_room(self) -> None:
        """With many Sentinels and many Proctors each is shown what it asked for, and no more."""
        sentinels = {f"desk-{n}": self.server.live(f"desk-{n}") for n in range(6)}
        wanted = [
            {f"desk-{n}" for n in range(6) if (n + viewer) % 3 or n == viewer}
            for viewer in range(4)
        ]
        codecs = (BINARY, JSON, BINARY, JSON)
        viewers = [self.watching(*w, codec=c) for w, c in zip(wanted, codecs, strict=True)]
        for number in range(12):
            for sentinel in sentinels.values():
                sentinel.segment(number)
            for viewer in viewers:
                viewer.read()
        for names, viewer in zip(wanted, viewers, strict=True):
            for name, sentinel in sentinels.items():
                seen = self.seen(viewer, name, sentinel.session_id)
                self.assertEqual(sorted(seen), list(range(12)) if name in names else [])

    def test_skipped_is_in_history(self) -> None:
        """What a slow viewer was told that it missed, history gives it."""
        sentinel = self.server.live()
        viewer = self.watching("desk-1")
        sent = {}
        for number in range(300):
            sent[number] = sentinel.segment(number)
            self.server.second(0.2)
        viewer.read()
        (hole,) = viewer.all_heard(Skipped)
        seen = self.seen(viewer, "desk-1", sentinel.session_id)
        self.assertEqual(sorted([*range(hole.first, hole.last + 1), *seen]), list(range(300)))
        self.assertEqual(
            self.history("desk-1", hole.session_id, hole.first, hole.last),
            b"".join(sent[number] for number in range(hole.first, hole.last + 1)),
        )

    def test_loss_on_the_way(self) -> None:
        """What was lost on the way is a gap in history, and nobody is shown what it broke."""
        sentinel = self.server.live()
        viewer = self.watching("desk-1")
        for number in (0, 1, 4, 5, 10, 11):
            sentinel.segment(number)
        viewer.read()
        session = sentinel.session_id
        self.assertEqual(sorted(self.seen(viewer, "desk-1", session)), [0, 1, 10, 11])
        self.assertEqual(sentinel.all_heard(KeyframeRequest), [KeyframeRequest("desk-1")])
        self.assertEqual(
            [(gap.first, gap.last, gap.cause) for gap in self.gaps("desk-1", session)],
            [(2, 3, Cause.MISSING), (6, 9, Cause.MISSING)],
        )

    def test_late_ones(self) -> None:
        """What comes late fills its gap in history, where it then decodes."""
        sentinel = self.server.live()
        sent = {number: sentinel.segment(number) for number in (0, 1, 3, 10)}
        sent[2] = sentinel.segment(2, late=True)
        session = sentinel.session_id
        self.assertEqual(self.history("desk-1", session, 0, 3), b"".join(sent[n] for n in range(4)))
        page = self.successResultOf(self.server.store.segments("desk-1", session, SegmentQuery()))
        self.assertEqual([row.is_undecodable for row in page.segments], [False] * 5)


class SessionTests(RoadCase):
    """Sentinels that come and go."""

    def test_reconnection(self) -> None:
        """Viewers go on by themselves, and history has both sessions whole."""
        sentinel = self.server.sentinel()
        sentinel.register(FIRST)
        sentinel.init()
        viewer = self.watching("desk-1")
        sent = {FIRST: {n: sentinel.segment(n) for n in range(3)}}
        viewer.read()
        sentinel.vanish()
        viewer.read()
        again = self.server.sentinel()
        again.register(SECOND)
        again.init(data=media.init_segment(b"another"))
        sent[SECOND] = {n: again.segment(n, filler_bytes=9) for n in range(4)}
        viewer.read()
        for session, segments in sent.items():
            self.assertEqual(self.seen(viewer, "desk-1", session), segments)
            self.assertEqual(
                self.history("desk-1", session, 0, len(segments) - 1),
                b"".join(segments.values()),
            )
        sessions = [message.session_id for message in viewer.all_heard(Subscribed)]
        self.assertEqual(sessions, [FIRST, SECOND])
        self.assertEqual([m.session_id for m in viewer.all_heard(SessionEnded)], [FIRST])
        page = self.successResultOf(self.server.store.sessions(SessionQuery()))
        self.assertEqual(
            {record.session.session_id: record.segment_count for record in page.sessions},
            {FIRST: 3, SECOND: 4},
        )

    def test_replaced_connection(self) -> None:
        """A half-open connection that is replaced loses nothing that had arrived."""
        older = self.server.sentinel()
        older.register(FIRST)
        older.init()
        sent = [older.segment(n) for n in range(3)]
        viewer = self.watching("desk-1", start_from=StartFrom.OLDEST)
        newer = self.server.sentinel()
        newer.register(SECOND)
        newer.init()
        newer.segment(0)
        viewer.read()
        self.assertEqual(list(self.seen(viewer, "desk-1", FIRST).values()), sent)
        self.assertEqual(list(self.seen(viewer, "desk-1", SECOND)), [0])
        self.assertEqual(self.history("desk-1", FIRST, 0, 2), b"".join(sent))

    def test_a_liar_among_others(self) -> None:
        """A Sentinel that sends junk loses its session; nobody else notices."""
        liar, honest = self.server.live("liar"), self.server.live("honest")
        viewer = self.watching("liar", "honest")
        for number in range(3):
            liar.segment(number)
            honest.segment(number)
        liar.say(liar.described(3, b"junk"))
        honest.segment(3)
        viewer.read()
        self.assertEqual(sorted(self.seen(viewer, "honest", honest.session_id)), [0, 1, 2, 3])
        self.assertEqual(sorted(self.seen(viewer, "liar", liar.session_id)), [0, 1, 2])
        self.assertEqual([m.sentinel_id for m in viewer.all_heard(SessionEnded)], ["liar"])


class ControlTests(RoadCase):
    """What Proctors ask of Sentinels."""

    def test_framerate(self) -> None:
        """A rate reaches the Sentinel, stands in every list, and outlives the session."""
        sentinel = self.server.live()
        asking, other = self.watching("desk-1"), self.server.proctor(JSON)
        asking.say(FramerateChange("desk-1", 333))
        self.assertEqual(sentinel.all_heard(FramerateChange), [FramerateChange("desk-1", 333)])
        self.server.second()
        for proctor in (asking, other):
            proctor.read()
            news = proctor.all_heard(Sentinels)[-1]
            self.assertEqual([row.framerate_mhz for row in news.sentinels], [333])
        sentinel.vanish()
        again = self.server.sentinel()
        again.register(SECOND)
        again.init()
        self.assertEqual(again.all_heard(FramerateChange), [FramerateChange("desk-1", 333)])
        again.segment(0, framerate_mhz=333)
        newcomer = self.server.connect()
        newcomer.register()
        self.server.second()
        newcomer.read()
        self.assertEqual(newcomer.all_heard(Sentinels)[-1].sentinels[0].framerate_mhz, 333)

    def test_keyframe(self) -> None:
        """A crowd's wish for a keyframe reaches the Sentinel once, and its answer them all."""
        sentinel = self.server.live()
        sentinel.segment(0)
        crowd = [self.watching("desk-1") for _ in range(3)]
        for proctor in crowd:
            proctor.say(KeyframeRequest("desk-1"))
        self.assertEqual(len(sentinel.all_heard(KeyframeRequest)), 1)
        sentinel.segment(1, keyframe=True)
        for proctor in crowd:
            (answer,) = [m for m in proctor.read() if isinstance(m, Segment)]
            self.assertEqual((answer.sequence, answer.is_keyframe), (1, True))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([1, 1, 1, 2, 7])),
        st.tuples(st.just("read"), st.sampled_from([1, 3, 1_000])),
        st.tuples(st.just("wait"), st.sampled_from([1, 5, 25])),
        st.tuples(st.just("session"), st.just(0)),
        st.tuples(st.just("reconnect"), st.just(0)),
    ),
    max_size=60,
)


class AnythingTests(RoadCase):
    """Any order of sending, losing, reading, waiting, ending and coming back."""

    @settings(max_examples=150)
    @given(STEPS)
    def test_account(self, steps: list[tuple[str, int]]) -> None:
        """Every viewer is sent what was sent, in order, or told of it; history has it all."""
        # More sessions in so short a time are refused.
        assume(sum(word in ("session", "reconnect") for word, _ in steps) < USUAL.sessions)
        self.setUp()
        self.sent: dict[str, dict[int, bytes]] = {}
        self.sentinel = self.server.sentinel()
        self.begin()
        viewers = [self.watching("desk-1", codec=codec) for codec in (BINARY, JSON)]
        for word, number in steps:
            if word == "send":
                self.send(number)
            elif word == "read":
                viewers[0].read(number)
            elif word == "wait":
                self.server.second(float(number))
            elif word == "session":
                self.begin()
            else:
                self.sentinel.vanish()
                self.sentinel = self.server.sentinel()
                self.begin()
        self.assert_open(self.sentinel)
        for viewer in viewers:
            viewer.read()
            self.check_viewer(viewer)
        self.check_history()

    def begin(self) -> None:
        """Begin the next session, on a new connection or on the one that there is."""
        session_id = f"session-number-{len(self.sent):04}"
        if not self.sentinel.session_id:
            self.sentinel.register(session_id)
        self.sentinel.init(session_id)
        self.sent[session_id] = {}

    def send(self, step: int) -> None:
        """Send the segment that is so many further on."""
        sent = self.sent[self.sentinel.session_id]
        sequence = max(sent, default=-1) + step
        sent[sequence] = self.sentinel.segment(sequence)

    def check_viewer(self, viewer: FakeProctorPeer) -> None:
        """In order, whole, decodable, and all accounted for in each session it saw to its end."""
        told: dict[str, list[int]] = {}
        inits = [message.session_id for message in viewer.all_heard(InitSegment)]
        for message in viewer.heard:
            if isinstance(message, Segment):
                told.setdefault(message.session_id, []).append(message.sequence)
                self.assertEqual(
                    bytes(message.data), self.sent[message.session_id][message.sequence]
                )
                self.assertEqual(inits.count(message.session_id), 1)
            elif isinstance(message, Skipped):
                told.setdefault(message.session_id, []).extend(
                    range(message.first, message.last + 1)
                )
        for sequences in told.values():
            start, stop = sequences[0], sequences[-1]
            self.assertEqual(sequences, list(range(start, stop + 1)))
        session_id = self.sentinel.session_id
        live = list(self.seen(viewer, "desk-1", session_id))
        self.assertEqual(live[-1:], self.decodable(self.sent[session_id])[-1:])

    def decodable(self, sent: dict[int, bytes]) -> list[int]:
        """The sequences that decode, of those that were sent."""
        found: list[int] = []
        previous: int | None = None
        for number in sent:
            if media.is_keyframe(number) or number - 1 == previous:
                previous = number
                found.append(number)
        return found

    def check_history(self) -> None:
        """Exactly what was sent of every session is there, byte for byte, and no session of which
        nothing was."""
        info = read_init(media.init_segment())
        for session_id, sent in self.sent.items():
            found = self.server.store.segments("desk-1", session_id, SegmentQuery())
            if not sent:
                self.failureResultOf(found, NotFound)
                continue
            page = self.successResultOf(found)
            self.assertEqual([row.sequence for row in page.segments], list(sent))
            decodable = [row.sequence for row in page.segments if not row.is_undecodable]
            self.assertEqual(decodable, self.decodable(sent))
            for number, data in sent.items():
                self.assertEqual(self.history("desk-1", session_id, number, number), data)
                self.assertEqual(read_fragment(data, info).sequence, number)
