"""Tests of films: what is in them, what their index says, and what a player makes of them."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from itertools import pairwise

import av
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import TIMESCALE, annexb_to_avc, decoded, encoded
from tests.store.recorded import folder_of, part_numbers, read_part
from tests.store.rig import Rig
from tests.store.samples import FRAME_TICKS, a_session, an_arrival
from vidlink.errors import Damaged
from vidlink.fmp4 import (
    MAX_REFERENCE_BYTES,
    MAX_REFERENCE_DURATION,
    write_fragment,
)
from vidlink.model import ClipQuery
from vidlink.store.files.paths import part_file
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.footage import Footage, Reference, Scene, references
from vidlink.store.film.reel import Reel, Reels


def scene(*segments: tuple[int, int, int, bool]) -> Scene:
    """A scene of segments: sequence, media time, size in octets, keyframe."""
    made = Scene()
    for sequence, time, size, is_key in segments:
        if made.offer(sequence, time, 200, is_key):
            made.places.add(0, 0, size, 0)
            made.leads.extend([0] * is_key)
    return made


def entries(first: Scene, count: int, tail: Scene, timescale: int) -> list[Reference]:
    """The entries of a whole film."""
    footage = Footage(first, count, tail)
    return references(footage, 0, len(footage), timescale)


class ReferenceTests(SynchronousTestCase):
    """The entries of the index."""

    def test_keyframe_intervals(self) -> None:
        """One entry for each keyframe; it lasts until the next, the last one for its frames."""
        shown = scene((0, 0, 10, True), (1, 9, 11, False), (2, 30, 12, True), (3, 40, 13, False))
        self.assertEqual(
            entries(shown, 4, Scene(shown), 100), [(21, 30, True), (25, 10 + 20, True)]
        )

    def test_in_two_pieces(self) -> None:
        """What is on disk and what waits make the same entries as if all were on disk."""
        segments = [(n, 10 * n, 5 + n, n % 4 == 0) for n in range(14)]
        whole = scene(*segments)
        expected = entries(whole, 14, Scene(whole), 100)
        for border in range(15):
            first = scene(*segments[:border])
            tail = Scene(before=first)
            for sequence, time, size, is_key in segments[border:]:
                self.assertTrue(tail.offer(sequence, time, 200, is_key))
                tail.places.add(0, 0, size, 0)
                tail.leads.extend([0] * is_key)
            self.assertEqual(entries(first, border, tail, 100), expected)
            if border:
                self.assertEqual(
                    entries(whole, border, Scene(first), 100),
                    entries(first, border, Scene(first), 100),
                )

    def test_not_back_in_time(self) -> None:
        """What would go back in time is left out, until something goes on."""
        shown = scene(
            (0, 0, 1, True), (1, 20, 1, False), (2, 20, 1, False), (3, 30, 1, False),
            (4, 15, 1, True), (5, 40, 1, True),
        )  # fmt: skip
        self.assertEqual(list(shown.sequences), [0, 1, 5])

    def test_interval_too_large(self) -> None:
        """More octets than one entry can hold are shared by several, cut at segments."""
        half = MAX_REFERENCE_BYTES // 2 + 1
        shown = scene((0, 0, half, True), (1, 10, half, False), (2, 20, half, False))
        found = entries(shown, 3, Scene(shown), 100)
        self.assertEqual(found, [(half, 40, True), (half, 0, False), (half, 0, False)])

    def test_interval_too_long(self) -> None:
        """A longer time than one entry can hold is shared out, so that what follows stands
        where it belongs."""
        far = 3 * MAX_REFERENCE_DURATION - 7
        shown = scene(*((n, n, 10, n == 0) for n in range(6)), (9, far, 10, True))
        found = entries(shown, 7, Scene(shown), 1_000)
        self.assertEqual(sum(duration for _, duration, _ in found[:-1]), far)
        self.assertEqual(sum(size for size, _, _ in found), 70)
        self.assertEqual([starts for _, _, starts in found], [True, False, False, True])
        lonely = scene((0, 0, 10, True), (9, far, 10, True))
        (first, _) = entries(lonely, 2, Scene(lonely), 1_000)
        self.assertEqual(first, (10, MAX_REFERENCE_DURATION, True))

    @given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.booleans())))
    def test_sums(self, steps: list[tuple[int, int, bool]]) -> None:
        """Whatever comes, entries cover every octet and all the time, and start with
        keyframes."""
        sequence = time = 0
        segments = []
        for jump, later, is_key in steps:
            sequence, time = sequence + jump, time + later
            segments.append((sequence, time, 7, is_key))
        shown = scene(*segments)
        found = entries(shown, len(shown.times), Scene(shown), 1_000)
        self.assertEqual(sum(size for size, _, _ in found), 7 * len(shown.times))
        for earlier, later in pairwise(shown.times):
            self.assertLess(earlier, later)
        if found:
            length = shown.times[-1] + 200 - shown.times[0]
            self.assertEqual(sum(duration for _, duration, _ in found), length)
            self.assertEqual(len(found), len(shown.keys))


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
            self.store.archive.film("desk-1", self.session.session_id, last)
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
        self.successResultOf(self.store.archive.film("desk-1", session_id, None))
        # A record of each, and of each keyframe segment where its `moof` begins.
        self.assertEqual(sum(sizes), 64 * (1_000 + 200))
        sizes.clear()
        self.record(*range(1_000, 1_010))
        self.successResultOf(self.store.archive.film("desk-1", session_id, None))
        self.assertEqual(sum(sizes), 64 * (10 + 2))
        sizes.clear()
        self.successResultOf(self.store.archive.film("desk-1", session_id, 500))
        self.assertEqual(sum(sizes), 0)

    def test_growing_is_like_reading_anew(self) -> None:
        """A film that has grown step by step, holes filled in between, is the film that a
        fresh start gives."""
        for sequences in ((0, 1, 2), (5, 6), (4,), (10, 11), (12,), (3,), (13, 15, 20)):
            self.record(*sequences)
            grown = self.film()
            fresh = self.rig.killed(self.mktemp())
            self.addCleanup(fresh.close)
            found = fresh.store.archive.film("desk-1", self.session.session_id, None)
            body, _ = self.successResultOf(found)
            self.assertEqual(self.successResultOf(body.read(0, body.size_bytes)), grown)
            self.assertEqual(body.etag, self.etag())

    def etag(self) -> str:
        """The validator of the film."""
        body, _ = self.successResultOf(
            self.store.archive.film("desk-1", self.session.session_id, None)
        )
        etag: str = body.etag
        return etag

    def test_an_old_body_stays(self) -> None:
        """A body that is being read is not disturbed by what comes after it."""
        self.record(*range(6))
        body, _ = self.successResultOf(
            self.store.archive.film("desk-1", self.session.session_id, None)
        )
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
        film, _ = self.successResultOf(
            self.store.archive.film("desk-1", self.session.session_id, None)
        )
        asked = self.store.archive.clip("desk-1", self.session.session_id, ClipQuery(0))
        clip, _ = self.successResultOf(asked)
        for body in (film, clip):
            self.failureResultOf(body.read(0, body.size_bytes), Damaged)

    def test_damaged_range(self) -> None:
        """Of a segment that is not what was recorded nothing is given out, rebased or not."""
        self.record(*range(12))
        (number,) = part_numbers(self.rig, self.session)
        path = os.path.join(folder_of(self.rig, self.session), part_file(number))
        with open(path, "r+b") as part:
            part.seek(-1, os.SEEK_END)
            part.write(b"?")
        query = ClipQuery(self.session.started_time_us + 2_100_000)
        asked = self.store.archive.clip("desk-1", self.session.session_id, query)
        body, clip = self.successResultOf(asked)
        self.assertGreater(clip.rebased_ticks, 0)
        size = len(an_arrival(self.session, 11).segment.data)
        self.failureResultOf(body.read(body.size_bytes - 1, 1), Damaged)
        self.successResultOf(body.read(0, body.size_bytes - size))

    def test_bounded(self) -> None:
        """Only so much is kept of films; an old one is read again."""
        reels = Reels(50_000)
        sessions = []
        for number in range(1, 6):
            session = a_session(number)
            self.store.ledger.begin(session, lambda sequence: None)
            for sequence in range(400):
                self.store.ledger.append(session.session_id, an_arrival(session, sequence))
            self.rig.settle()
            stored = StoredSession(self.rig.disk, folder_of(self.rig, session))
            reels.reel(stored).film(session, None, (), None)
            sessions.append(stored)
        held = [reels.reel(stored).memory_bytes for stored in (sessions[-1], sessions[-2])]
        self.assertGreater(min(held), 10_000)
        self.assertLessEqual(reels.memory_bytes, 50_000 + max(held))
        self.assertEqual(reels.reel(sessions[0]).memory_bytes, 0)

    def test_bounded_heads(self) -> None:
        """However many films of one session are asked for, only some keep their heads."""
        self.record(*range(100))
        reel = Reel(StoredSession(self.rig.disk, folder_of(self.rig, self.session)))
        held = []
        for last in range(100):
            reel.film(self.session, None, (), last)
            held.append(reel.memory_bytes)
        self.assertGreater(held[5], held[0])
        self.assertLess(held[99] - held[0], 2 * (held[5] - held[0]) + 3_000)


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
            arrival = replace(arrival, segment=replace(arrival.segment, data=data))
            self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.settle()

    def film(self) -> bytes:
        """All of the film."""
        found = self.rig.store.archive.film("desk-1", self.session.session_id, None)
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
        found = self.rig.store.archive.clip("desk-1", self.session.session_id, ClipQuery(0))
        body, _ = self.successResultOf(found)
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data
