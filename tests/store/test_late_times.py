"""Tests of what comes late with times that do not fit: it is kept and marked, and hides nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, FRAME_TICKS, FRAME_US, a_session, an_arrival
from vidlink.errors import NotFound
from vidlink.model import Arrival, ClipQuery, SegmentQuery, SegmentRecord
from vidlink.store.fsck.check import Check
from vidlink.store.writing import reopening

HOUR_US = 3_600_000_000


class LateTimesCase(SynchronousTestCase):
    """A session that has 0, 1 and 5 live, of which 5 is a keyframe."""

    def setUp(self) -> None:
        """Nothing has come late yet."""
        self.make()

    def make(self) -> None:
        """Begin."""
        self.session = a_session()
        self.rig = Rig(self.mktemp())
        self.addCleanup(lambda: self.rig.close())
        self.rig.store.ledger.begin(self.session, lambda sequence: None)
        for number in (0, 1, 5):
            self.append(number)

    def append(
        self, number: int, *, late: bool = False, off_us: int = 0, media_time: int | None = None
    ) -> None:
        """Record a segment."""
        arrival: Arrival = an_arrival(self.session, number, late=late, media_time=media_time)
        start_us = arrival.segment.start_time_us + off_us
        arrival = replace(arrival, segment=replace(arrival.segment, start_time_us=start_us))
        self.rig.store.ledger.append(self.session.session_id, arrival)

    def open_again(self) -> None:
        """End the session, and open it for what comes late."""
        self.rig.store.ledger.end(self.session.session_id, "over", EPOCH_US + 5_000_000)
        self.rig.settle()
        opened: Deferred[None] = self.rig.store.ledger.reopen(self.session, lambda sequence: None)
        self.rig.settle()
        self.successResultOf(opened)

    def listed(self, from_us: int | None = None, to_us: int | None = None) -> list[SegmentRecord]:
        """The segments that history lists, by time."""
        query = SegmentQuery(from_time_us=from_us, to_time_us=to_us)
        found: Any = self.rig.store.archive.segments("desk-1", self.session.session_id, query)
        return list(self.successResultOf(found).segments)

    def film(self) -> bytes:
        """The whole film."""
        found: Any = self.rig.store.archive.film("desk-1", self.session.session_id)
        body, _ = self.successResultOf(found)
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data


class MarkedTests(LateTimesCase):
    """One late segment that does not fit, of the live session and of one that is opened again."""

    def test_start_time(self) -> None:
        """Its start time is put between those of its neighbours, and it says so."""
        for is_again in (False, True):
            self.make()
            if is_again:
                self.open_again()
            self.append(2, late=True, off_us=-HOUR_US)
            self.append(3, late=True)
            for is_durable in (False, True):
                if is_durable:
                    self.rig.settle()
                listed = self.listed()
                starts = [one.start_time_us for one in listed]
                self.assertEqual(starts, [EPOCH_US + n * FRAME_US for n in (0, 1, 2, 3, 5)])
                marks = [one.is_time_corrected for one in listed]
                self.assertEqual(marks, [False, False, True, False, False])

    def test_media_time(self) -> None:
        """One whose media time is behind what follows is recorded, marked, and in no film; what
        follows is in the film as if it had not come."""
        for is_again in (False, True):
            self.make()
            if is_again:
                self.open_again()
            self.append(2, late=True, media_time=1_000 * FRAME_TICKS)
            self.append(3, late=True)
            self.rig.settle()
            listed = self.listed()
            self.assertEqual([one.sequence for one in listed], [0, 1, 2, 3, 5])
            self.assertEqual(
                [one.is_misplaced for one in listed], [False, False, True, False, False]
            )
            shown = [one.sequence for one in listed if not one.is_undecodable]
            self.assertEqual(shown, [0, 1, 5])
            film = self.film()
            for number, is_there in ((1, True), (2, False), (3, False), (5, True)):
                self.assertEqual(b"frame %d" % number in film, is_there)

    def test_rebuilt(self) -> None:
        """... also where its record was lost, and is made anew: as damage, or with all of them."""
        names = "part-0000.idx", "part-0001.idx"
        for lost in (names[:1], names[1:], names):
            for is_gone in (True, False):
                self.make()
                self.append(2, late=True, media_time=1_000 * FRAME_TICKS)
                self.append(3, late=True)
                self.rig.settle()
                before, shown = self.film(), self.listed()
                folder = folder_of(self.rig, self.session)
                self.rig.close()
                for name in lost:
                    path = os.path.join(folder, name)
                    if is_gone:
                        os.unlink(path)
                    else:
                        with open(path, "r+b") as file:
                            file.seek(60)
                            file.write(bytes(4))
                check = Check(
                    self.rig.path,
                    FaultyDisk(),
                    put=lambda finding: None,
                    expect=lambda size: None,
                    came=lambda size: None,
                )
                check.repair(EPOCH_US, is_rebuilding=True)
                self.rig = self.rig.again()
                listed = self.listed()
                self.assertEqual([one.sequence for one in listed], [0, 1, 2, 3, 5])
                self.assertEqual(
                    [one.is_misplaced for one in listed], [one.is_misplaced for one in shown]
                )
                self.assertEqual(len(self.film()), len(before))

    def test_corrected_live(self) -> None:
        """A mark of a live segment is in the listing, while it waits and from the disk."""
        arrival = replace(an_arrival(self.session, 6), is_time_corrected=True)
        self.rig.store.ledger.append(self.session.session_id, arrival)
        self.assertTrue(self.listed()[-1].is_time_corrected)
        self.rig.settle()
        self.assertTrue(self.listed()[-1].is_time_corrected)

    def test_many_pieces(self) -> None:
        """The same of a session that is in so many pieces that each is not looked up by itself."""
        self.patch(reopening, "_MOST_LOOKS", 0)
        self.test_start_time()
        self.test_media_time()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 12),
                st.integers(-HOUR_US, HOUR_US) | st.just(0),
                st.integers(0, 20 * FRAME_TICKS) | st.none(),
            ),
            max_size=12,
        ),
        st.booleans(),
    )
    def test_any_arrivals(
        self, arrivals: list[tuple[int, int, int | None]], is_again: bool
    ) -> None:
        """Whatever comes late, in any order and with any times: starts ascend with sequences, a
        time range has what was captured in it, what was live is in the film, and nothing fails."""
        self.make()
        if is_again:
            self.open_again()
        for number, off_us, media_time in arrivals:
            is_late = is_again or number < 5
            if is_late:
                self.append(number, late=True, off_us=off_us, media_time=media_time)
        self.rig.settle()
        listed = self.listed()
        starts = [one.start_time_us for one in listed]
        self.assertEqual(starts, sorted(set(starts)))
        for low, high in ((0, 3), (2, 7), (1, 1)):
            from_us, to_us = EPOCH_US + low * FRAME_US, EPOCH_US + high * FRAME_US
            expected = [one for one in listed if from_us <= one.start_time_us < to_us]
            self.assertEqual(self.listed(from_us, to_us), expected)
            query = ClipQuery(from_us, to_us + 1)
            clip: Any = self.rig.store.archive.film("desk-1", self.session.session_id, query)
            clip.addErrback(lambda failure: failure.trap(NotFound))
            self.successResultOf(clip)
        shown = {one.sequence for one in listed if not one.is_undecodable}
        self.assertLessEqual({0, 1, 5}, shown)
        film = self.film()
        for number in (0, 1, 5):
            self.assertIn(b"frame %d" % number, film)
