"""Tests of what cannot be undone under clocks that are wrong: deleting by age, and sealing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import replace

from twisted.logger import capturedLogs

from tests.store.deleting.test_remover import DAY_US, RemoverCase
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.errors import SessionSealed
from vidlink.model import (
    Policy,
    Session,
    SessionQuery,
    SessionRecord,
    SessionState,
    WaitReason,
)

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


class ClockCase(RemoverCase):
    """Three sessions that are over, and thirty days for which each is kept."""

    policy = Policy(max_age_us=30 * DAY_US)

    def setUp(self) -> None:
        """Let the sessions have ended before the present."""
        super().setUp()
        self.passes(HOUR_US)

    def passes(self, us: int) -> None:
        """Time passes, and is looked at now and then."""
        for _ in range(12):
            self.rig.now_us += us // 12
            self.rig.settle()

    def leaps(self, us: int) -> None:
        """The wall clock is set."""
        self.rig.leapt_us += us
        self.rig.settle()

    def starts(self, leapt_us: int = 0, path: str = "", off_us: int = 0) -> Rig:
        """The next start, after so much time, with the wall clock so far ahead."""
        self.rig.store.stop()
        now_us = self.rig.now_us + off_us
        path = path or self.rig.path
        self.rig = Rig(path, policy=self.policy, now_us=now_us, leapt_us=leapt_us)
        self.rig.settle()
        return self.rig

    def ends(self, session: Session) -> None:
        """A session is recorded and ends now, by the wall clock."""
        rig = self.rig
        now_us = rig.now_us + rig.leapt_us
        rig.store.ledger.begin(replace(session, started_time_us=now_us), lambda sequence: None)
        rig.store.ledger.append(session.session_id, an_arrival(session, 0))
        rig.store.ledger.end(session.session_id, "over", now_us)
        rig.settle()

    def shown(self, session: Session) -> SessionRecord:
        """A session as history shows it."""
        ids = session.sentinel_id, session.session_id
        record: SessionRecord = self.successResultOf(self.rig.store.archive.session(*ids))
        return record

    def waits(self) -> list[WaitReason]:
        """Why something is not deleted yet."""
        self.passes(2 * 60 * SECOND_US)
        plan = self.successResultOf(self.rig.store.keeping.retention(10))
        return [one.reason for one in plan.waiting]


class AheadTests(ClockCase):
    """A wall clock that is ahead."""

    def test_for_a_moment(self) -> None:
        """A clock that is sixty days ahead for some minutes deletes nothing, in a running server
        and at a start; it is an alarm, and the plan says what waits and for how long."""
        for sets in (self.leaps, self.starts):
            with capturedLogs() as logged:
                sets(60 * DAY_US)
                self.assertEqual(self.waits(), [WaitReason.CLOCK])
                plan = self.successResultOf(self.rig.store.keeping.retention(10))
            self.assertEqual(plan.due, ())
            (waiting,) = plan.waiting
            assert waiting.seconds is not None
            self.assertTrue(3_000 < waiting.seconds < 3_600, waiting)
            self.assertIn("60 d 0 h ahead", waiting.text)
            self.assertIn("3 sessions", waiting.text)
            said = [one for one in logged if "words" in one]
            self.assertEqual([one["log_level"].name for one in said], ["error"])
            self.leaps(-60 * DAY_US)
            self.assertEqual(self.waits(), [])
            self.assertEqual(len(self.listed()), 3)
        self.starts()
        self.passes(2 * HOUR_US)
        self.assertEqual((len(self.listed()), self.receipts()), (3, []))

    def test_killed_with_it(self) -> None:
        """The same where the server is killed while its clock is wrong."""
        self.starts(60 * DAY_US)
        self.passes(HOUR_US // 2)
        shutil.copytree(self.rig.path, killed := self.mktemp())
        self.starts(path=killed)
        self.passes(2 * HOUR_US)
        self.assertEqual((len(self.listed()), self.receipts()), (3, []))

    def test_off_for_a_holiday(self) -> None:
        """A server that was off for forty days deletes what has become too old when it has run
        for an hour; what is kept for longer stays."""
        self.starts(off_us=40 * DAY_US)
        self.ends(a_session(5))
        self.passes(HOUR_US - 3 * 60 * SECOND_US)
        self.assertEqual(len(self.listed()), 4)
        self.passes(10 * 60 * SECOND_US)
        self.assertEqual(self.listed(), [a_session(5).session_id])

    def test_fifty_minutes_a_day(self) -> None:
        """A server that is never on for an hour at a time seals what ended some days ago, and
        deletes what is too old; not before it is."""
        on_us = 50 * 60 * SECOND_US
        for day in range(1, 34):
            self.starts(off_us=DAY_US - on_us)
            self.passes(on_us)
            if day == 4:
                self.assertIs(self.shown(self.sessions[0]).state, SessionState.SEALED)
            if day == 29:
                self.assertEqual(len(self.listed()), 3)
        self.assertEqual(self.listed(), [])

    def test_folder_of_before(self) -> None:
        """A folder in which no time was kept, as one of an older version, is not older than what
        is recorded in it, when it is opened under a clock that is ahead."""
        self.rig.store.stop()
        os.remove(f"{self.rig.path}/clock.json")
        self.starts(60 * DAY_US)
        self.passes(HOUR_US // 2)
        self.assertEqual(len(self.listed()), 3)

    def test_unreadable_note(self) -> None:
        """A note of the time that cannot be read is as one that is not there."""
        for text in (
            "",
            "null",
            "[]",
            '{"format": 1}',
            '{"format": 1, "time_us": 9e99}',
            "{" * 999,
        ):
            self.rig.store.stop()
            with open(f"{self.rig.path}/clock.json", "w") as note:
                note.write(text)
            self.starts(60 * DAY_US)
            self.passes(HOUR_US // 4)
            self.assertEqual(len(self.listed()), 3, text)

    def test_recorded_meanwhile(self) -> None:
        """What ends while the clock is ten years ahead is kept as long as anything else, from the
        next start on, and not for ten years."""
        session = a_session(5)
        self.leaps(3_650 * DAY_US)
        self.ends(session)
        self.leaps(-3_650 * DAY_US)
        self.starts()
        self.passes(29 * DAY_US)
        self.assertIn(session.session_id, self.listed())
        self.passes(2 * DAY_US)
        self.assertEqual(self.listed(), [])

    def test_sealing(self) -> None:
        """A clock that is two days ahead seals nothing: what a Sentinel still has is taken."""
        session = self.sessions[0]
        self.rig.store.ledger.end(session.session_id, "", 0)
        for sets in (self.leaps, self.starts):
            sets(2 * DAY_US)
            self.assertIs(self.shown(session).state, SessionState.ENDED)
            ids = session.sentinel_id, ((session.session_id, 0, 9),)
            self.assertEqual(self.successResultOf(self.rig.store.ledger.tails(*ids)), (((4, 9),),))
            opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
            self.rig.settle()
            self.successResultOf(opened)
            self.rig.store.ledger.end(session.session_id, "", 0)
            self.rig.settle()
            self.leaps(-2 * DAY_US)


class BehindTests(ClockCase):
    """A wall clock that is behind, such as that of a machine whose battery is empty."""

    def test_recorded_meanwhile(self) -> None:
        """What ends while the clock shows 1970 is neither sealed nor deleted when it has been set
        right; it is as old as it is, after a lost database too."""
        session = a_session(5)
        self.starts(-self.rig.now_us)
        self.ends(session)
        self.assertEqual(self.shown(session).ended_time_us, 0)
        for lost in (False, True):
            self.rig.store.stop()
            if lost:
                os.remove(f"{self.rig.path}/index.sqlite3")
            self.starts()
            self.passes(3 * HOUR_US)
            self.assertIn(session.session_id, self.listed())
            self.assertIs(self.shown(session).state, SessionState.ENDED)
        self.passes(31 * DAY_US)
        self.assertEqual(self.listed(), [])

    def test_for_ever(self) -> None:
        """A clock that is never set right keeps nothing for ever: time goes on without it."""
        self.starts(-self.rig.now_us)
        self.passes(28 * DAY_US)
        self.assertEqual(len(self.listed()), 3)
        self.passes(4 * DAY_US)
        self.assertEqual(self.listed(), [])

    def test_in_trouble_while_it_lasts(self) -> None:
        """It is said once in the log that the clock is behind, and once that it is right again."""
        with capturedLogs() as logged:
            self.leaps(-40 * DAY_US)
            self.passes(HOUR_US)
            self.leaps(40 * DAY_US)
            self.passes(HOUR_US)
        said = [one["log_format"] for one in logged if "clock" in str(one)]
        self.assertEqual(len(said), 2, said)

    def test_killed_while_live(self) -> None:
        """A session whose segments say that they are of 1970 ended when the server was killed, as
        far as its age goes."""
        session = a_session(5)
        self.rig.store.ledger.begin(replace(session, started_time_us=5), lambda sequence: None)
        arrival = an_arrival(session, 0)
        old = replace(arrival, segment=replace(arrival.segment, start_time_us=0))
        self.rig.store.ledger.append(session.session_id, old)
        self.passes(HOUR_US)
        shutil.copytree(self.rig.path, killed := self.mktemp())
        self.starts(path=killed)
        self.passes(DAY_US)
        self.assertIn(session.session_id, self.listed())
        self.assertLess(self.shown(session).ended_time_us or 0, SECOND_US)

    def test_delivered_late(self) -> None:
        """A session that only comes when it is over is as old as its delivery."""
        session = a_session(5)
        self.leaps(-self.rig.now_us)
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.settle()
        self.successResultOf(opened)
        self.rig.store.ledger.end(session.session_id, "", 0)
        self.rig.settle()
        self.leaps(self.rig.now_us)
        self.passes(2 * HOUR_US)
        self.assertIs(self.shown(session).state, SessionState.ENDED)


class SealedTests(ClockCase):
    """Sessions that a day has sealed."""

    def test_not_opened_by_a_clock(self) -> None:
        """A clock that goes back opens nothing again."""
        session = self.sessions[0]
        self.passes(25 * HOUR_US)
        self.leaps(-10 * DAY_US)
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.settle()
        self.failureResultOf(opened, SessionSealed)


class RoomTests(RemoverCase):
    """Too many octets, under whatever clock."""

    policy = Policy(max_bytes=1_000)

    def test_order(self) -> None:
        """The oldest go first by when they ended here, whatever a Sentinel says of its times: not
        the one that says that it is of 1970, nor is one kept that says that it is of 2100."""
        ages = (EPOCH_US + 40 * 366 * DAY_US, 0, EPOCH_US)
        sessions = [a_session(number) for number in range(10, 13)]
        for session, says_us in zip(sessions, ages, strict=True):
            self.rig.now_us += HOUR_US
            started = replace(session, started_time_us=self.rig.now_us)
            self.rig.store.ledger.begin(started, lambda sequence: None)
            for sequence in range(4):
                arrival = an_arrival(session, sequence)
                start_us = says_us + sequence
                said = replace(arrival, segment=replace(arrival.segment, start_time_us=start_us))
                self.rig.store.ledger.append(session.session_id, said)
            self.rig.store.ledger.end(session.session_id, "over", self.rig.now_us)
            self.rig.settle()
        for _ in range(5):
            self.tick()
        gone = [one.session_id for one in reversed(self.receipts())]
        every = [one.session_id for one in (*self.sessions, *sessions)]
        self.assertEqual(gone, every[: len(gone)])
        self.assertTrue(3 < len(gone) < 6, gone)


class UpgradeTests(ClockCase):
    """Sessions of a version that knew no trusted time."""

    def test_rows(self) -> None:
        """A database of the earlier format is made anew, and has every session."""
        self.rig.store.stop()
        with sqlite3.connect(f"{self.rig.path}/index.sqlite3") as connection:
            connection.execute("PRAGMA user_version = 2")
        connection.close()
        self.starts()
        self.assertEqual(len(self.listed()), 3)
        page = self.successResultOf(self.rig.store.archive.sessions(SessionQuery(limit=2)))
        self.assertEqual(len(page.sessions), 2)
