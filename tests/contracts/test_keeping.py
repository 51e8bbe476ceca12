"""What every store promises of deleting and holding: the real one and the in-memory fake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.contracts.test_store import StoreCase
from tests.fakes.store import MemoryStore
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.errors import NotFound, RequestError, SessionGone, SessionHeld, SessionLive
from vidlink.interfaces import IRetention
from vidlink.model import Cause, DeletionReason, Gap, Hold, Policy, SessionQuery
from vidlink.store.files.layout import RECORD_BYTES

#: All but 1,000 octets would go, as far as it may; nothing goes of itself.
POLICY = Policy(max_bytes=1_000, is_rehearsal=True)


class KeepingContract(StoreCase):
    """The promises of `IRetention`; a subclass gives a store and settles it."""

    def over(self, *sequences: int, session: Any = None) -> None:
        """A session is recorded with these sequences, and has ended."""
        session = self.begin(session)
        self.record(*sequences, session=session)
        ended_us = session.started_time_us + 1_000_000
        self.store.ledger.end(session.session_id, "disconnected", ended_us)
        self.settle()

    def delete(self, session: Any = None, *, rehearse: bool = False) -> Any:
        """Delete a session, the test's own if not said; what comes of it."""
        session = self.session if session is None else session
        ids = session.sentinel_id, session.session_id
        answer = self.store.keeping.delete(*ids, "somebody", rehearse=rehearse)
        self.settle()
        return answer

    def hold(self, reason: str | None, session_id: str = "") -> Any:
        """Hold a session; what comes of it."""
        answer = self.store.keeping.hold("desk-1", session_id or self.session.session_id, reason)
        self.settle()
        return answer

    def listed(self) -> list[str]:
        """The ids of the sessions that are listed."""
        page = self.successResultOf(self.store.archive.sessions(SessionQuery()))
        return [record.session.session_id for record in page.sessions]

    def test_role(self) -> None:
        """A store provides the role."""
        verifyObject(IRetention, self.store.keeping)

    # Deleting

    def test_delete(self) -> None:
        """What is deleted is not there any more, in no listing and under no path; the receipt
        says what there was."""
        self.over(0, 1, 3)
        self.now_us = EPOCH_US + 77
        receipt = self.successResultOf(self.delete())
        self.assertEqual((receipt.number, receipt.deleted_time_us), (1, EPOCH_US + 77))
        self.assertIs(receipt.reason, DeletionReason.ASKED)
        self.assertEqual(
            (receipt.by, receipt.name, receipt.group), ("somebody", "Desk One", "ward")
        )
        self.assertEqual((receipt.sentinel_id, receipt.session_id), ("desk-1", "session-00000000"))
        self.assertEqual((receipt.segment_count, receipt.size_bytes), (3, len(self.data(0, 1, 3))))
        self.assertEqual((receipt.first_sequence, receipt.last_sequence), (0, 3))
        self.assertEqual((receipt.lost, receipt.parts), ((("missing", 1),), 1))
        self.assertEqual(self.listed(), [])
        ids = "desk-1", self.session.session_id
        for found in (
            self.store.archive.session(*ids),
            self.store.archive.media(*ids, 0, 0),
            self.store.archive.film(*ids),
            self.store.archive.playlist(*ids),
        ):
            self.failureResultOf(found, NotFound)
        self.assertEqual(self.successResultOf(self.store.archive.sentinels()), ())

    def test_deleted_id(self) -> None:
        """The id of a deleted session is never accepted again, and nothing is wanted of it."""
        self.over(0)
        self.delete()
        with self.assertRaises(RequestError):
            self.begin()
        opened = self.store.ledger.reopen(self.session, self.durable.append)
        self.settle()
        self.failureResultOf(opened, SessionGone)
        tails = self.store.ledger.tails("desk-1", ((self.session.session_id, 0, 9),))
        self.assertEqual(self.successResultOf(tails), ((),))

    def test_delete_live(self) -> None:
        """A live session cannot be deleted, nor one that is being filled; over again, it can."""
        self.begin()
        self.record(0)
        self.settle()
        self.failureResultOf(self.delete(), SessionLive)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        self.store.ledger.reopen(self.session, self.durable.append)
        self.settle()
        self.failureResultOf(self.delete(), SessionLive)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        self.successResultOf(self.delete())

    def test_delete_nothing(self) -> None:
        """There is nothing to delete of a session that is not there, is another Sentinel's, or
        is deleted already."""
        self.failureResultOf(self.delete(), NotFound)
        live = self.begin(a_session(3))
        self.failureResultOf(self.delete(replace(live, sentinel_id="desk-2")), NotFound)
        self.over(0)
        self.failureResultOf(self.delete(replace(self.session, sentinel_id="desk-2")), NotFound)
        self.successResultOf(self.delete())
        self.failureResultOf(self.delete(), NotFound)

    def test_rehearse(self) -> None:
        """A rehearsal gives the receipt, without number and time, and leaves everything."""
        self.over(0, 1)
        rehearsed = self.successResultOf(self.delete(rehearse=True))
        self.assertEqual((rehearsed.number, rehearsed.deleted_time_us), (None, None))
        self.assertEqual(len(self.listed()), 1)
        self.assertEqual(self.successResultOf(self.store.keeping.receipts(None, 10)).receipts, ())
        receipt = self.successResultOf(self.delete())
        self.assertEqual(replace(receipt, number=None, deleted_time_us=None), rehearsed)

    def test_receipts(self) -> None:
        """Receipts come page by page, the newest first, each once."""
        for number in range(5):
            self.over(0, session=a_session(number))
            self.delete(a_session(number))
        numbers, before = [], None
        while True:
            page = self.successResultOf(self.store.keeping.receipts(before, 2))
            numbers.append([receipt.number for receipt in page.receipts])
            before = page.next
            if before is None:
                break
        self.assertEqual(numbers, [[5, 4], [3, 2], [1]])

    # Holding

    def test_hold(self) -> None:
        """What is held says so and why, and cannot be deleted; released, it can."""
        self.over(0)
        self.assertIsNone(self.shown().hold)
        self.now_us = EPOCH_US + 5
        hold = Hold("an appeal \u2603", EPOCH_US + 5)
        self.assertEqual(self.successResultOf(self.hold("an appeal \u2603")), hold)
        self.assertEqual(self.shown().hold, hold)
        page = self.successResultOf(self.store.archive.sessions(SessionQuery()))
        self.assertEqual(page.sessions[0].hold, hold)
        self.failureResultOf(self.delete(), SessionHeld)
        self.assertIsNone(self.successResultOf(self.hold(None)))
        self.assertIsNone(self.shown().hold)
        self.successResultOf(self.delete())

    def test_hold_live(self) -> None:
        """A live session can be held, stays so when it has ended, when it is opened again, and
        when that is over."""
        self.begin()
        self.record(0)
        self.settle()
        self.successResultOf(self.hold("why"))
        hold = Hold("why", EPOCH_US)
        self.assertEqual(self.shown().hold, hold)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US + 1)
        self.settle()
        self.assertEqual(self.shown().hold, hold)
        self.store.ledger.reopen(self.session, self.durable.append)
        self.settle()
        self.assertEqual(self.shown().hold, hold)
        self.store.ledger.append(self.session.session_id, an_arrival(self.session, 1, late=True))
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US + 1)
        self.settle()
        self.assertEqual(self.shown().hold, hold)
        self.failureResultOf(self.delete(), SessionHeld)

    def test_hold_while_filled(self) -> None:
        """What is held while something late is written loses nothing of it."""
        self.over(0)
        self.store.ledger.reopen(self.session, self.durable.append)
        self.settle()
        self.store.ledger.append(self.session.session_id, an_arrival(self.session, 1, late=True))
        self.store.ledger.gap(self.session.session_id, Gap(2, 2, Cause.DECLARED))
        answer = self.store.keeping.hold("desk-1", self.session.session_id, "why")
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        self.successResultOf(answer)
        shown = self.shown()
        self.assertEqual((shown.segment_count, shown.hold), (2, Hold("why", EPOCH_US)))
        self.assertEqual(shown.end_reason, "disconnected")
        self.assertEqual(len(shown.gaps), 1)

    def test_hold_again(self) -> None:
        """Of several holds the last counts, and whoever asked is answered; releasing what is not
        held is no mistake."""
        self.over(0)
        self.assertIsNone(self.successResultOf(self.hold(None)))
        ids = "desk-1", self.session.session_id
        answers = [self.store.keeping.hold(*ids, reason) for reason in ("one", None, "two")]
        self.settle()
        for answer in answers:
            self.successResultOf(answer)
        self.assertEqual(self.shown().hold, Hold("two", EPOCH_US))

    def test_hold_nothing(self) -> None:
        """There is nothing to hold of a session that is not there, or is another Sentinel's."""
        self.failureResultOf(self.hold("why"), NotFound)
        self.over(0)
        answer = self.store.keeping.hold("desk-2", self.session.session_id, "why")
        self.settle()
        self.failureResultOf(answer, NotFound)
        self.delete()
        self.failureResultOf(self.hold("why"), NotFound)

    # The plan

    def test_plan(self) -> None:
        """The plan has the policy, what there is, and what would go now, in order; neither what
        is live nor what is held."""
        sizes = {}
        for number in range(4):
            session = a_session(number)
            self.over(*range(4), session=session)
            data = [an_arrival(session, one).segment.data for one in range(4)]
            sizes[session.session_id] = sum(map(len, data)) + 4 * RECORD_BYTES
        live = self.begin(a_session(9))
        self.record(0, session=live)
        self.settle()
        self.successResultOf(self.hold("why", a_session(1).session_id))
        plan = self.successResultOf(self.store.keeping.retention(10))
        self.assertEqual(plan.policy, POLICY)
        self.assertEqual((plan.totals.sessions, plan.totals.held_sessions), (5, 1))
        self.assertEqual(plan.totals.held_bytes, sizes[a_session(1).session_id])
        live_bytes = len(an_arrival(live, 0).segment.data) + RECORD_BYTES
        # What is being written counts as the database knew it last.
        self.assertIn(plan.totals.bytes - sum(sizes.values()), (0, live_bytes))
        self.assertGreater(plan.free_bytes, 0)
        ids = [one.candidate.session_id for one in plan.due]
        expected = [a_session(number).session_id for number in (0, 2, 3)]
        self.assertEqual(ids, expected[: len(ids)])
        self.assertGreaterEqual(len(ids), 2)
        self.assertEqual({one.reason for one in plan.due}, {DeletionReason.BYTES})
        few = self.successResultOf(self.store.keeping.retention(1))
        self.assertEqual((few.due, few.is_more), (plan.due[:1], True))


class RecordingStoreTests(KeepingContract, SynchronousTestCase):
    """The real store."""

    def make(self, queue_segments: int = 65_536) -> Any:
        """A store whose rounds are done by hand."""
        self.rig = Rig(
            self.mktemp(),
            wall_clock_us=lambda: self.now_us,
            queue_segments=queue_segments,
            policy=POLICY,
        )
        self.addCleanup(self.rig.close)
        return self.rig.store

    def settle(self) -> None:
        """Rounds until nothing is left."""
        self.rig.settle()


class MemoryStoreTests(KeepingContract, SynchronousTestCase):
    """The fake."""

    def make(self, queue_segments: int = 65_536) -> Any:
        """A store that commits when told."""
        return MemoryStore(
            wall_clock_us=lambda: self.now_us,
            commit_at_once=False,
            queue_segments=queue_segments,
            policy=POLICY,
        )

    def settle(self) -> None:
        """Commit."""
        self.store.commit()
