"""Tests of films: what is in them, what their index says, and what a player makes of them."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import av
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import TIMESCALE, annexb_to_avc, decoded, encoded
from tests.store.recorded import folder_of, part_numbers, read_part
from tests.store.rig import Rig
from tests.store.samples import FRAME_TICKS, a_session, an_arrival
from vidlink.errors import Damaged
from vidlink.fmp4 import write_fragment
from vidlink.model import ALL, Cause, ClipQuery, Gap
from vidlink.store.files.paths import part_file
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.reel import Reel, Reels
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.suspects import Suspects
from vidlink.store.sequences.window import SequenceWindow


class ReelTests(SynchronousTestCase):
    """What is kept of films, and how it grows."""

    def setUp(self) -> None:
        """A store and a live session."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.store = self.rig.store
        self.session = a_session()
        self.store.ledger.begin(self.session, lambda sequence: None)

    def record(self, *sequences: int) -> None:
        """These segments become durable."""
        for sequence in sequences:
            self.store.ledger.append(self.session.session_id, an_arrival(self.session, sequence))
        self.rig.settle()

    def film(self, last: int | None = None) -> bytes:
        """All of the film."""
        body, _ = self.successResultOf(
            self.store.archive.film("desk-1", self.session.session_id, ClipQuery(last=last))
        )
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data

    def count_reads(self) -> list[int]:
        """The sizes of what is read from now on."""
        sizes: list[int] = []
        real = self.rig.disk.pread

        def pread(descriptor: int, offset: int, size: int) -> bytes:
            data = real(descriptor, offset, size)
            sizes.append(len(data))
            return data

        self.rig.disk.pread = pread  # type: ignore[method-assign]
        return sizes

    def test_only_what_is_new_is_read(self) -> None:
        """The film of a live session costs what has come since it was asked for last."""
        self.record(*range(1_000))
        session_id = self.session.session_id
        sizes = self.count_reads()
        self.successResultOf(self.store.archive.film("desk-1", session_id))
        self.assertEqual(sum(sizes), 64 * 1_000)
        sizes.clear()
        self.record(*range(1_000, 1_010))
        self.successResultOf(self.store.archive.film("desk-1", session_id))
        self.assertEqual(sum(sizes), 64 * 10)
        sizes.clear()
        self.successResultOf(self.store.archive.film("desk-1", session_id, ClipQuery(last=500)))
        self.assertEqual(sum(sizes), 0)

    def test_growing_is_like_reading_anew(self) -> None:
        """A film that has grown step by step, holes filled in between, is the film that a
        fresh start gives."""
        for sequences in ((0, 1, 2), (5, 6), (4,), (10, 11), (12,), (3,), (13, 15, 20)):
            self.record(*sequences)
            grown = self.film()
            fresh = self.rig.killed(self.mktemp())
            self.addCleanup(fresh.close)
            found = fresh.store.archive.film("desk-1", self.session.session_id)
            body, _ = self.successResultOf(found)
            self.assertEqual(self.successResultOf(body.read(0, body.size_bytes)), grown)
            self.assertEqual(body.etag, self.etag())

    def etag(self) -> str:
        """The validator of the film."""
        body, _ = self.successResultOf(self.store.archive.film("desk-1", self.session.session_id))
        etag: str = body.etag
        return etag

    def test_an_old_body_stays(self) -> None:
        """A body that is being read is not disturbed by what comes after it."""
        self.record(*range(6))
        body, _ = self.successResultOf(self.store.archive.film("desk-1", self.session.session_id))
        before = self.film()
        self.record(*range(6, 9), 10)
        self.film()
        self.record(9)
        self.film()
        self.assertEqual(self.successResultOf(body.read(0, body.size_bytes)), before)

    def test_part_gone(self) -> None:
        """A film whose part cannot be read is opened, and says so where it is read."""
        self.record(*range(12))
        (number,) = part_numbers(self.rig, self.session)
        os.remove(os.path.join(folder_of(self.rig, self.session), part_file(number)))
        film, _ = self.successResultOf(self.store.archive.film("desk-1", self.session.session_id))
        asked = self.store.archive.film("desk-1", self.session.session_id, ClipQuery(0))
        clip, _ = self.successResultOf(asked)
        for body in (film, clip):
            self.failureResultOf(body.read(0, body.size_bytes), Damaged)

    def test_damaged_range(self) -> None:
        """Of a segment that is not what was recorded nothing is given out, in a range either."""
        self.record(*range(12))
        (number,) = part_numbers(self.rig, self.session)
        path = os.path.join(folder_of(self.rig, self.session), part_file(number))
        with open(path, "r+b") as part:
            part.seek(-1, os.SEEK_END)
            part.write(b"?")
        query = ClipQuery(self.session.started_time_us + 2_100_000)
        asked = self.store.archive.film("desk-1", self.session.session_id, query)
        body, _ = self.successResultOf(asked)
        size = len(an_arrival(self.session, 11).segment.data)
        self.failureResultOf(body.read(body.size_bytes - 1, 1), Damaged)
        self.successResultOf(body.read(0, body.size_bytes - size))

    def test_what_cannot_change_is_asked_once(self) -> None:
        """What is missing of a session is found out once it is sealed, not at every seek; until
        then each time, unless nothing is missing."""
        self.record(*range(3), *range(5, 8))
        reel = Reel(
            StoredSession(self.rig.disk, folder_of(self.rig, self.session)), Suspects(Inbox())
        )
        asked: list[int] = []

        def gaps(window: SequenceWindow) -> tuple[Gap, ...]:
            asked.append(1)
            return (Gap(3, 4, Cause.DECLARED),)

        def etag(query: ClipQuery = ALL, *, is_final: bool = False) -> str:
            return reel.film(self.session, None, (), query, gaps, is_final=is_final).etag

        etags = {etag() for _ in range(3)}
        self.assertEqual(len(asked), 3)
        etags |= {etag(is_final=True) for _ in range(3)}
        self.assertEqual((len(asked), len(etags)), (4, 1))
        etag(ClipQuery(last=2))
        self.assertEqual(len(asked), 4)

    def test_bounded(self) -> None:
        """Only so much is kept of films; an old one is read again."""
        reels = Reels(100_000, Suspects(Inbox()))
        sessions = []
        for number in range(1, 6):
            session = a_session(number)
            self.store.ledger.begin(session, lambda sequence: None)
            for sequence in range(400):
                self.store.ledger.append(session.session_id, an_arrival(session, sequence))
            self.rig.settle()
            stored = StoredSession(self.rig.disk, folder_of(self.rig, session))
            reels.reel(stored).film(session, None, (), ALL)
            sessions.append(stored)
        held = [reels.reel(stored).memory_bytes for stored in (sessions[-1], sessions[-2])]
        self.assertGreater(min(held), 10_000)
        self.assertLessEqual(reels.memory_bytes, 100_000 + max(held))
        self.assertEqual(reels.reel(sessions[0]).memory_bytes, 0)

    def test_bounded_heads(self) -> None:
        """However many films of one session are asked for, only some keep their heads."""
        self.record(*range(100))
        reel = Reel(
            StoredSession(self.rig.disk, folder_of(self.rig, self.session)), Suspects(Inbox())
        )
        held = []
        for last in range(100):
            reel.film(self.session, None, (), ClipQuery(last=last))
            held.append(reel.memory_bytes)
        self.assertGreater(held[5], held[0])
        self.assertLess(held[99] - held[0], 2 * (held[5] - held[0]) + 8 * 12 * 100)


class PlayerTests(SynchronousTestCase):
    """Real pictures, and what FFmpeg makes of them."""

    def setUp(self) -> None:
        """A recording of real frames, 5 a second, a keyframe every fifth."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        made = encoded(frames=20)
        self.packets = made.packets
        self.session = a_session(init=made.init)
        self.rig.store.ledger.begin(self.session, lambda sequence: None)

    def record(self, *sequences: int) -> None:
        """These frames become durable."""
        for sequence in sequences:
            packet, is_key = self.packets[sequence]
            frame = annexb_to_avc(packet)
            arrival = an_arrival(self.session, sequence, keyframe=is_key, frame=frame)
            # As Sentinels send it: with the time of capture before `moof`.
            data = write_fragment(
                sequence=sequence,
                decode_time=arrival.media_time,
                duration=FRAME_TICKS,
                keyframe=is_key,
                data=frame,
                producer_time_us=arrival.segment.start_time_us,
            )
            arrival = replace(
                arrival,
                segment=replace(arrival.segment, data=data),
                sample_offset=len(data) - len(frame),
            )
            self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.settle()

    def film(self) -> bytes:
        """All of the film."""
        found = self.rig.store.archive.film("desk-1", self.session.session_id)
        body, _ = self.successResultOf(found)
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data

    def assert_frames(self, data: bytes, *sequences: int) -> None:
        """A player shows these frames, each at its time and in its grey."""
        frames = decoded(data)
        self.assertEqual([time for time, _ in frames], [n * TIMESCALE // 5 for n in sequences])
        for number, (_, grey) in zip(sequences, frames, strict=True):
            self.assertAlmostEqual(grey, 20 + 10 * number, delta=3)

    def test_film_plays(self) -> None:
        """A film plays from its first frame to its last."""
        self.record(*range(12))
        self.assert_frames(self.film(), *range(12))

    def test_film_with_hole_shows_no_wrong_picture(self) -> None:
        """After a hole a player shows nothing before the next keyframe."""
        self.record(0, 1, 2, 4, *range(6, 14))
        self.assert_frames(self.film(), 0, 1, 2, 10, 11, 12, 13)

    def test_every_part_plays(self) -> None:
        """Every part is a film by itself, in whatever order its segments came."""
        self.record(*range(5), 10, 11, 12, 5, 6, 13, 7, 8, 9)
        self.assert_frames(self.film(), *range(14))
        numbers = part_numbers(self.rig, self.session)
        self.assertEqual(len(numbers), 2)
        for number in numbers:
            data, rows = read_part(self.rig, self.session, number)
            self.assert_frames(data, *(row[0] for row in rows))

    def test_seeking_by_the_index(self) -> None:
        """A player that seeks jumps by the index, and does not read what lies between."""
        self.record(*range(20))
        data = self.film()
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            self.assertEqual(stream.duration, 20 * FRAME_TICKS)
            container.seek(16 * FRAME_TICKS, stream=stream)
            frame = next(container.decode(video=0))
            self.assertEqual(frame.pts, 15 * FRAME_TICKS)

    def test_seeking_to_and_fro(self) -> None:
        """However often a player seeks, it gets every segment once, and shows right pictures."""
        self.record(*range(13))
        self.rig.settle()
        self.record(*range(13, 20))
        for data in (self.film(), self.clip()):
            with av.open(io.BytesIO(data), "r") as container:
                stream = container.streams.video[0]
                for second in (2.3, 0.7, 1.9, 2.9, 0.1, 1.3, 2.3):
                    container.seek(round(second * TIMESCALE), stream=stream)
                    frames = list(container.decode(video=0))
                    expected = list(range(int(second) * 5, 20))
                    self.assertEqual(
                        [one.pts for one in frames], [n * FRAME_TICKS for n in expected]
                    )
                    for number, frame in zip(expected, frames, strict=True):
                        self.assertAlmostEqual(bytes(frame.planes[0])[0], 20 + 10 * number, delta=3)

    def clip(self) -> bytes:
        """All of the film as a range."""
        found = self.rig.store.archive.film("desk-1", self.session.session_id, ClipQuery(0))
        body, _ = self.successResultOf(found)
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data
