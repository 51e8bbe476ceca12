"""What becomes of a session when the server's clock is set, against the real server side."""

from __future__ import annotations

from tests.links.uplink.test_late import DeliveryCase
from tests.links.uplink.uplinked import SENTINEL
from vidlink.links.uplink.clock import FAR_ANSWERS
from vidlink.model import SegmentQuery, SessionState

HOUR = 3_600


class SetClockTests(DeliveryCase):
    """The server's clock is set by an hour while a session is live."""

    def off_seconds(self, session_id: str) -> list[float]:
        """By how much the times of a session are ahead of the server's, as they arrived."""
        found = self.all.server.store.segments(SENTINEL, session_id, SegmentQuery())
        rows = self.successResultOf(found).segments
        self.assertFalse(any(row.is_time_corrected for row in rows))
        return [(row.start_time_us - row.received_time_us) / 1e6 for row in rows]

    def test_for_good(self) -> None:
        """After some minutes another session has the new time from its beginning, ahead or back;
        nothing is missing of the one before, which is whole and over."""
        for leap in (HOUR, -HOUR):
            self.setUp()
            self.live(2)
            before = self.all.uplink.live.session_id
            self.all.server_leaps(leap)
            self.seconds((FAR_ANSWERS + 1) * 60, frames=1)
            after = self.all.uplink.live.session_id
            self.assertNotEqual(after, before)
            self.assertLess(max(map(abs, self.off_seconds(after))), 1)
            old = self.off_seconds(before)
            self.assertEqual(len(old), self.all.frames - len(self.off_seconds(after)))
            self.assertLess(len(old), (FAR_ANSWERS + 1) * 60)
            self.seconds(5)
            self.assertIs(self.record(before).state, SessionState.SEALED)
            self.assertEqual(self.all.told.all("error"), [])

    def test_for_a_moment(self) -> None:
        """A clock that is wrong for some minutes neither ends the session nor dates it wrongly."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.server_leaps(60 * 24 * HOUR)
        self.seconds(120, frames=1)
        self.all.server_leaps(-60 * 24 * HOUR)
        self.seconds(FAR_ANSWERS * 60 + 60, frames=1)
        self.assertEqual(self.all.uplink.live.session_id, session_id)
        self.assertLess(max(self.off_seconds(session_id)), 10)
