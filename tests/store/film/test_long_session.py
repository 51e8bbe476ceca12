"""Tests of a recording of ten hours: opening it and seeking in it reads next to nothing."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.fmp4.media import encoded
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, FRAME_TICKS, FRAME_US, a_session, an_arrival
from vidlink.fmp4 import read_movie
from vidlink.model import ClipQuery, SegmentQuery

SEGMENTS = 180_000
KEYFRAME_EVERY = 50
FRAME = bytes(1_900)
PIECE_BYTES = 64 * 1024


class CountingDisk(FaultyDisk):
    """Counts the octets that are read."""

    read_bytes = 0

    def pread(self, descriptor: int, offset: int, size: int) -> bytes:
        """Read, and count."""
        data = super().pread(descriptor, offset, size)
        self.read_bytes += len(data)
        return data


class LongSessionTests(SynchronousTestCase):
    """Ten hours at five frames a second, a keyframe every ten seconds."""

    def setUp(self) -> None:
        """Record them, without waiting for the disk: 360 MB, removed afterwards."""
        self.disk = CountingDisk()
        self.rig = Rig(self.mktemp(), disk=self.disk, durability="os")
        self.addCleanup(self.rig.remove)
        self.session = a_session(init=encoded().init)
        store = self.rig.store
        store.ledger.begin(self.session, lambda sequence: None)
        for sequence in range(SEGMENTS):
            arrival = an_arrival(
                self.session, sequence, keyframe=sequence % KEYFRAME_EVERY == 0, frame=FRAME
            )
            store.ledger.append(self.session.session_id, arrival)
            if sequence % 20_000 == 0:
                self.rig.settle()
        store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.rig.settle()
        self.disk.read_bytes = 0

    def got(self, name: str, *arguments: Any) -> Any:
        """What the store says about the session."""
        method = getattr(self.rig.store.archive, name)
        return self.successResultOf(method("desk-1", self.session.session_id, *arguments))

    def test_little_is_read(self) -> None:
        """A player that opens the film and seeks twice gets less than 0.5 % of it, and costs the
        records and what it gets; a time range and a page of segments cost their own size, a
        playlist once the records."""
        film, _ = self.got("film")
        self.assertEqual(self.disk.read_bytes, 64 * SEGMENTS + len(self.session.init))
        size = len(an_arrival(self.session, 1, frame=FRAME).segment.data)
        head_bytes = film.size_bytes - SEGMENTS * size
        self.assertLess(head_bytes, 0.005 * film.size_bytes)

        self.disk.read_bytes = 0
        start = self.successResultOf(film.read(0, head_bytes))
        self.assertEqual(self.disk.read_bytes, 0)
        track = read_movie(start)
        self.assertEqual(track.samples.times[-1], (SEGMENTS - 1) * FRAME_TICKS)
        self.assertEqual(list(track.samples.syncs), list(range(0, SEGMENTS, KEYFRAME_EVERY)))
        for sequence in (61_700, 160_500):
            place = track.samples.places[sequence]
            piece = self.successResultOf(film.read(place, PIECE_BYTES))
            self.assertEqual(track.samples.sizes[sequence], len(FRAME))
            self.assertEqual(piece[: len(FRAME)], FRAME)
            following = an_arrival(self.session, sequence + 1, frame=FRAME).segment.data
            self.assertEqual(piece[len(FRAME) :][:size], following)
        self.assertLess(self.disk.read_bytes, 3 * PIECE_BYTES)

        self.disk.read_bytes = 0
        again, _ = self.got("film")
        self.assertEqual(again.etag, film.etag)
        self.assertLess(self.disk.read_bytes, 10_000)

        self.disk.read_bytes = 0
        middle_us = EPOCH_US + SEGMENTS // 2 * FRAME_US
        clip, where = self.got("film", ClipQuery(middle_us, middle_us + 3_600_000_000))
        self.assertEqual(where.start_time_us, middle_us)
        self.assertLess(clip.size_bytes - 18_000 * size, 0.005 * clip.size_bytes)
        self.assertEqual(len(self.successResultOf(clip.read(0, PIECE_BYTES))), PIECE_BYTES)
        self.assertLess(self.disk.read_bytes, 2 * PIECE_BYTES)

        self.disk.read_bytes = 0
        listed = self.got("playlist")
        text = self.successResultOf(listed.read(0, listed.size_bytes))
        self.assertEqual(text.count(b"#EXTINF:10.000000,\n"), SEGMENTS // KEYFRAME_EVERY)
        self.assertTrue(text.endswith(b"segments/179950-179999.mp4\n#EXT-X-ENDLIST\n"))
        self.disk.read_bytes = 0
        self.assertEqual(self.got("playlist").etag, listed.etag)
        self.assertEqual(self.disk.read_bytes, 0)

        page = self.got("segments", SegmentQuery(from_time_us=middle_us, limit=50))
        self.assertEqual(page.segments[0].sequence, SEGMENTS // 2)
        self.assertLess(self.disk.read_bytes, 20_000)

        for after in (None, SEGMENTS // 2, SEGMENTS - 60):
            self.disk.read_bytes = 0
            page = self.got("segments", SegmentQuery(after=after, limit=50))
            self.assertEqual(len(page.segments), 50)
            # 51 records, those that halving looks at, and some to find the keyframe before.
            self.assertLess(self.disk.read_bytes, (51 + 18 * 4 + 64) * 64)

        self.disk.read_bytes = 0
        last = SEGMENTS - 1
        body, missing = self.got("media", last, last)
        data = self.successResultOf(body.read(0, size))
        self.assertEqual((len(data), missing), (size, ()))
        self.assertLess(self.disk.read_bytes, 20_000)

        shown = self.got("session")
        self.assertEqual((shown.segment_count, len(shown.spans)), (SEGMENTS, 1))
