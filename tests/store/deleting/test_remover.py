"""Tests of deleting: what goes, what stays, and what a kill leaves at every step."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.recorded import folder_of, stored
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.errors import NotFound, RequestError, SessionGone, SessionHeld, SessionLive, StoreError
from vidlink.model import DeletionReason, Policy, Receipt, SegmentQuery, Session, SessionQuery
from vidlink.store.deleting.remover import LOOK_SECONDS, PASS_OVER_SECONDS, ROUND_SECONDS
from vidlink.store.deleting.reserve import RESERVE_BYTES, SLICE_BYTES
from vidlink.store.files.receipts import read_receipt, write_receipt

DAY_US = 24 * 3_600_000_000


class RemoverCase(SynchronousTestCase):
    """A store with three sessions that are over."""

    policy = Policy()

    def setUp(self) -> None:
        """Record them."""
        self.sessions = [a_session(number) for number in range(3)]
        self.rig = Rig(self.mktemp(), policy=self.policy)
        self.addCleanup(lambda: self.rig.close())
        for session in self.sessions:
            self.over(session)

    def over(self, session: Session, *sequences: int) -> None:
        """A session is recorded, and ends."""
        self.rig.store.ledger.begin(session, lambda sequence: None)
        for sequence in sequences or range(4):
            self.rig.store.ledger.append(session.session_id, an_arrival(session, sequence))
        ended_us = session.started_time_us + 1_000_000
        self.rig.store.ledger.end(session.session_id, "over", ended_us)
        self.rig.settle()

    def delete(self, session: Session) -> Deferred[Receipt]:
        """Delete a session."""
        ids = session.sentinel_id, session.session_id
        return self.rig.store.keeping.delete(*ids, "somebody", rehearse=False)

    def listed(self, rig: Rig | None = None) -> list[str]:
        """The sessions that are listed."""
        store = self.rig.store if rig is None else rig.store
        page = self.successResultOf(store.archive.sessions(SessionQuery()))
        return sorted(record.session.session_id for record in page.sessions)

    def receipts(self, rig: Rig | None = None) -> list[Receipt]:
        """All receipts, the newest first."""
        store = self.rig.store if rig is None else rig.store
        return list(self.successResultOf(store.keeping.receipts(None, 100)).receipts)

    def tick(self, seconds: float = ROUND_SECONDS) -> None:
        """Time passes, and what is due is done."""
        self.rig.clock.advance(seconds)
        self.rig.settle()


class DeletedTests(RemoverCase):
    """One session, deleted by hand."""

    def test_gone(self) -> None:
        """Folder, rows and listing are gone; the neighbours are as they were."""
        first, second, third = self.sessions
        answer = self.delete(second)
        self.assertNoResult(answer)
        self.rig.settle()
        receipt = self.successResultOf(answer)
        self.assertEqual((receipt.number, receipt.session_id), (1, second.session_id))
        self.assertFalse(os.path.exists(folder_of(self.rig, second)))
        self.assertEqual(os.listdir(f"{self.rig.path}/deleting"), [])
        self.assertEqual(self.listed(), [first.session_id, third.session_id])
        found = self.rig.store.archive.session("desk-1", second.session_id)
        self.failureResultOf(found, NotFound)
        with sqlite3.connect(f"{self.rig.path}/index.sqlite3") as connection:
            for table in ("spans", "gaps"):
                query = (
                    f"SELECT count(*) FROM {table} WHERE session NOT IN (SELECT id FROM sessions)"
                )
                self.assertEqual(connection.execute(query).fetchone(), (0,))
        connection.close()
        self.assertEqual(len(stored(self.rig, first)), 4)

    def test_waits_for_no_round(self) -> None:
        """Who deletes by hand is answered without the pause before a round of the recording."""
        inbox = self.rig.store.writer._inbox
        # As in a thread: nothing that comes fills a round by itself.
        inbox.wait(0.0, 0.0, 2**40)
        self.assertFalse(inbox.is_due)
        answer = self.delete(self.sessions[1])
        self.rig.store.remover.round()
        self.assertTrue(inbox.is_due)
        self.rig.settle()
        self.successResultOf(answer)

    def test_receipt(self) -> None:
        """The receipt says what there was, and its hash is that of the records."""
        session = a_session(7)
        self.over(session, 0, 1, 4)
        folder = folder_of(self.rig, session)
        with open(f"{folder}/part-0000.idx", "rb") as records:
            digest = sha256(records.read()).hexdigest()
        self.rig.now_us = EPOCH_US + 12 * DAY_US
        shown = self.successResultOf(self.rig.store.archive.session("desk-1", session.session_id))
        self.assertEqual([gap.cause.value for gap in shown.gaps], ["undelivered"])
        answer = self.delete(session)
        self.rig.settle()
        receipt = self.successResultOf(answer)
        self.assertEqual(receipt.deleted_time_us, EPOCH_US + 12 * DAY_US)
        self.assertEqual((receipt.reason.value, receipt.by), ("asked", "somebody"))
        self.assertEqual((receipt.first_sequence, receipt.last_sequence), (0, 4))
        self.assertEqual((receipt.segment_count, receipt.lost), (3, (("undelivered", 2),)))
        self.assertEqual((receipt.parts, receipt.records_sha256), (1, digest))
        with open(f"{self.rig.path}/receipts.jsonl", "rb") as lines:
            self.assertEqual([read_receipt(line) for line in lines], [receipt])
        self.assertEqual(self.receipts(), [receipt])

    def test_id_is_used_for_ever(self) -> None:
        """Nobody may use the id again: to begin, to deliver late, or to be asked for a tail;
        after a start, and after one without the database too."""
        session = self.sessions[0]
        self.delete(session)
        self.rig.settle()
        for start in (lambda: self.rig, self.again, lambda: self.again(without_index=True)):
            rig = start()
            ids = session.sentinel_id, ((session.session_id, 0, 9),)
            self.assertEqual(self.successResultOf(rig.store.ledger.tails(*ids)), ((),))
            with self.assertRaises(RequestError):
                rig.store.ledger.begin(session, lambda sequence: None)
            opened = rig.store.ledger.reopen(session, lambda sequence: None)
            rig.settle()
            self.failureResultOf(opened, SessionGone)
            self.assertFalse(os.path.exists(folder_of(rig, session)))
            self.assertEqual(len(self.receipts(rig)), 1)

    def again(self, without_index: bool = False) -> Rig:
        """The next start."""
        self.rig.close()
        if without_index:
            os.remove(f"{self.rig.path}/index.sqlite3")
        self.rig = self.rig.again()
        return self.rig

    def test_sentinel_without_sessions(self) -> None:
        """With its last session a Sentinel is forgotten; before, it is what the newest says."""
        other = a_session(9, sentinel_id="desk-9")
        self.over(other)
        known = self.successResultOf(self.rig.store.archive.sentinels())
        self.assertEqual([who.sentinel_id for who, _ in known], ["desk-1", "desk-9"])
        self.delete(other)
        self.delete(self.sessions[2])
        self.rig.settle()
        ((who, end_us),) = self.successResultOf(self.rig.store.archive.sentinels())
        self.assertEqual(who.sentinel_id, "desk-1")
        self.assertEqual(end_us, self.sessions[1].started_time_us + 800_000)
        again = self.again()
        self.assertEqual(os.listdir(f"{again.path}/recordings"), ["desk-1"])

    def test_while_it_is_read(self) -> None:
        """A download that is under way ends with an error, and gives nothing that is wrong."""
        session = self.sessions[0]
        film = self.rig.store.archive.film("desk-1", session.session_id)
        body, _ = self.successResultOf(film)
        self.successResultOf(body.read(0, 150))
        self.delete(session)
        self.rig.settle()
        self.failureResultOf(body.read(150, body.size_bytes - 150), NotFound)

    def test_filling_stays(self) -> None:
        """While something late is being written to a session nobody can delete it, and it is not
        opened again while it is being deleted."""
        session = self.sessions[0]
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.settle()
        self.successResultOf(opened)
        self.failureResultOf(self.delete(session), SessionLive)
        self.rig.store.ledger.end(session.session_id, "over", EPOCH_US)
        self.rig.settle()
        answer = self.delete(session)
        self.rig.store.remover.round()
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.settle()
        self.failureResultOf(opened, RequestError)
        self.assertEqual(self.successResultOf(answer).number, 1)

    def test_opened_meanwhile(self) -> None:
        """Of an order to delete a session and one to open it again, the one that is taken first
        is done, and the other refused."""
        session = self.sessions[0]
        answer = self.delete(session)
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.store.writer.round()
        self.rig.settle()
        self.successResultOf(opened)
        self.failureResultOf(answer, SessionLive)
        self.assertEqual(len(self.listed()), 3)

    def test_hidden_at_once(self) -> None:
        """From the receipt on it is not shown, although the database still has it."""
        session = self.sessions[0]
        answer = self.delete(session)
        self.rig.store.remover.round()
        self.assertNoResult(answer)
        self.assertNotIn(session.session_id, self.listed())
        found = self.rig.store.archive.segments("desk-1", session.session_id, SegmentQuery())
        self.failureResultOf(found, NotFound)
        self.rig.settle()
        self.successResultOf(answer)

    def test_no_receipt_no_deletion(self) -> None:
        """What cannot be told of is not deleted."""
        self.rig.disk.errors["append"] = errno.EIO
        answer = self.delete(self.sessions[0])
        self.rig.settle()
        self.failureResultOf(answer, StoreError)
        self.rig.disk.errors.clear()
        self.assertEqual(len(self.listed()), 3)
        answer = self.delete(self.sessions[0])
        self.rig.settle()
        self.assertEqual(self.successResultOf(answer).number, 1)

    def test_torn_receipt(self) -> None:
        """What is left of a receipt that was never whole is gone before the next one."""
        self.delete(self.sessions[0])
        self.rig.settle()
        with open(f"{self.rig.path}/receipts.jsonl", "ab") as lines:
            lines.write(b'{"format":1,"num')
        rig = self.again()
        with open(f"{rig.path}/receipts.jsonl", "rb") as lines:
            self.assertTrue(lines.read().endswith(b"\n"))
        answer = self.delete(self.sessions[1])
        rig.settle()
        self.assertEqual(self.successResultOf(answer).number, 2)
        self.assertEqual([receipt.number for receipt in self.receipts()], [2, 1])

    def test_receipt_that_found_no_room(self) -> None:
        """What a failed write has left of a receipt, the first one even, is not in the way."""
        disk = self.rig.disk
        self.rig.store.remover.round()
        os.truncate(f"{self.rig.path}/reserve", 0)
        disk.room_bytes = 100
        answer = self.delete(self.sessions[0])
        self.rig.store.remover.round()
        disk.room_bytes = None
        self.rig.settle()
        self.failureResultOf(answer, StoreError)
        self.assertEqual(os.path.getsize(f"{self.rig.path}/receipts.jsonl"), 100)
        for number in (1, 2):
            answer = self.delete(self.sessions[number - 1])
            self.rig.settle()
            self.assertEqual(self.successResultOf(answer).number, number)
        self.rig.close()
        os.remove(f"{self.rig.path}/index.sqlite3")
        self.rig = self.rig.again()
        self.assertEqual([one.number for one in self.receipts()], [2, 1])

    def test_stopping(self) -> None:
        """Who waits when the store stops is told, and nothing is half done."""
        answer = self.delete(self.sessions[0])
        held = self.rig.store.keeping.hold("desk-1", self.sessions[1].session_id, "why")
        self.rig.close()
        self.failureResultOf(answer, StoreError)
        self.successResultOf(held)
        self.rig = self.rig.again()
        self.assertEqual(len(self.listed()), 3)


class KilledTests(RemoverCase):
    """A kill before each call of the system that deleting makes."""

    def test_every_step(self) -> None:
        """After a kill at any step the session is wholly there and has no receipt, or it has one
        and nothing of it is left; a start without the database says the same."""
        first, second, _ = self.sessions
        copies: list[tuple[str, str]] = []

        def copy(name: str, path: str) -> None:
            target = self.mktemp()
            shutil.copytree(self.rig.path, target)
            copies.append((f"{name} {os.path.basename(path)}", target))

        self.rig.disk.before = copy
        answer = self.delete(second)
        self.rig.settle()
        self.successResultOf(answer)
        copy("the end", "")
        self.rig.disk.before = lambda name, path: None
        steps = [step.split()[0] for step, _ in copies]
        self.assertLess(steps.index("append"), steps.index("rename"))
        self.assertLess(steps.index("rename"), steps.index("remove"))
        outcomes = set()
        for step, target in copies:
            for without_index in (False, True):
                path = f"{target}-{without_index}"
                shutil.copytree(target, path)
                if without_index:
                    for suffix in ("", "-wal", "-shm"):
                        os.unlink(f"{path}/index.sqlite3{suffix}")
                rig = Rig(path)
                rig.settle()
                outcomes.add(self.outcome(rig, second, step))
                self.assertIn(first.session_id, self.listed(rig), step)
                rig.close()
        self.assertEqual(outcomes, {False, True})

    def outcome(self, rig: Rig, session: Session, step: str) -> bool:
        """Whether the session is gone; it has to be that wholly, or not at all."""
        is_gone = session.session_id not in self.listed(rig)
        receipts = self.receipts(rig)
        self.assertEqual([one.session_id for one in receipts], [session.session_id] * is_gone, step)
        self.assertEqual(os.path.exists(folder_of(rig, session)), not is_gone, step)
        if os.path.exists(f"{rig.path}/deleting"):
            self.assertEqual(os.listdir(f"{rig.path}/deleting"), [], step)
        if not is_gone:
            self.assertEqual(len(stored(rig, session)), 4, step)
        with self.assertRaises(RequestError):
            rig.store.ledger.begin(session, lambda sequence: None)
        return is_gone

    def test_power_cut(self) -> None:
        """The receipt is synced before anything else is done."""
        self.rig.disk.done.clear()
        self.delete(self.sessions[0])
        self.rig.settle()
        done = [name for name, _ in self.rig.disk.done]
        self.assertLess(done.index("sync"), done.index("rename"))
        self.assertLess(done.index("append"), done.index("sync"))


class HeldTests(RemoverCase):
    """Holds, after a kill."""

    def test_kill(self) -> None:
        """A hold that was answered is there after a kill, of a live session and of one that is
        over, and after a start without the database; a release too."""
        live = a_session(8)
        self.rig.store.ledger.begin(live, lambda sequence: None)
        self.rig.settle()
        held, released = self.sessions[:2]
        for session, reason in ((live, "a"), (held, "b"), (released, "c"), (released, None)):
            answer = self.rig.store.keeping.hold("desk-1", session.session_id, reason)
            self.rig.settle()
            self.successResultOf(answer)
        for without_index in (False, True):
            path = self.mktemp()
            shutil.copytree(self.rig.path, path)
            if without_index:
                for suffix in ("", "-wal", "-shm"):
                    os.unlink(f"{path}/index.sqlite3{suffix}")
            rig = Rig(path)
            self.addCleanup(rig.close)
            page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
            reasons = {
                record.session.session_id: record.hold.reason
                for record in page.sessions
                if record.hold is not None
            }
            self.assertEqual(reasons, {live.session_id: "a", held.session_id: "b"})

    def test_disk_that_fails(self) -> None:
        """A hold that cannot be written fails, and what was said before stays."""
        session = self.sessions[0]
        self.rig.disk.errors["replace"] = errno.EIO
        answer = self.rig.store.keeping.hold("desk-1", session.session_id, "why")
        self.rig.settle()
        self.failureResultOf(answer, StoreError)
        self.rig.disk.errors.clear()
        record = self.successResultOf(self.rig.store.archive.session("desk-1", session.session_id))
        self.assertIsNone(record.hold)
        deleted = self.delete(session)
        self.rig.settle()
        self.assertEqual(self.successResultOf(deleted).number, 1)

    def test_wrong_bit_beside_it(self) -> None:
        """A hold that only the folder has keeps a session, though another number in its
        description is not what was written."""
        session = self.sessions[0]
        self.rig.store.keeping.hold("desk-1", session.session_id, "why")
        self.rig.settle()
        with sqlite3.connect(f"{self.rig.path}/index.sqlite3") as connection:
            connection.execute("UPDATE sessions SET held_time_us = NULL, hold_reason = NULL")
        connection.close()
        path = f"{folder_of(self.rig, session)}/session.json"
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text.replace(str(session.started_time_us), str(EPOCH_US - 5)))
        deleted = self.delete(session)
        self.rig.settle()
        self.assertIn("why", str(self.failureResultOf(deleted, SessionHeld).value))

    def test_opened_before_the_database_knows(self) -> None:
        """A hold that only the folder has as yet is not lost by opening the session again."""
        session = self.sessions[0]
        index = self.rig.store.writer._index
        save = index.save

        def broken(*given: Any) -> Any:
            raise StoreError("the database is locked")

        index.save = broken  # type: ignore[method-assign,assignment]
        held = self.rig.store.keeping.hold("desk-1", session.session_id, "why")
        self.rig.store.writer.round()
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.store.writer.round()
        self.failureResultOf(opened, RequestError)
        index.save = save  # type: ignore[method-assign]
        self.tick(2)
        self.successResultOf(held)
        opened = self.rig.store.ledger.reopen(session, lambda sequence: None)
        self.rig.settle()
        self.successResultOf(opened)
        record = self.successResultOf(self.rig.store.archive.session("desk-1", session.session_id))
        assert record.hold is not None
        self.assertEqual(record.hold.reason, "why")

    def test_opened_again_at_once(self) -> None:
        """A session that is held and opened again in one round is both, whichever was said
        first."""
        for number, hold_first in enumerate((True, False)):
            session = self.sessions[number]
            answers: list[Deferred[Any]] = []
            for is_hold in (hold_first, not hold_first):
                if is_hold:
                    answers.append(self.rig.store.keeping.hold("desk-1", session.session_id, "why"))
                else:
                    answers.append(self.rig.store.ledger.reopen(session, lambda sequence: None))
            late = an_arrival(session, 7, late=True)
            self.rig.store.ledger.append(session.session_id, late)
            self.rig.settle()
            for answer in answers:
                self.successResultOf(answer)
            self.rig.store.ledger.end(session.session_id, "over", EPOCH_US)
            self.rig.settle()
            again = self.rig.killed(self.mktemp())
            self.addCleanup(again.close)
            record = self.successResultOf(again.store.archive.session("desk-1", session.session_id))
            assert record.hold is not None
            self.assertEqual((record.hold.reason, record.segment_count), ("why", 5))


class PolicyTests(RemoverCase):
    """What goes of itself."""

    policy = Policy(max_age_us=10 * DAY_US)

    def test_age(self) -> None:
        """What has become too old goes within a minute, and the receipt says why."""
        self.assertEqual(len(self.listed()), 3)
        self.rig.now_us = self.sessions[1].started_time_us + 1_000_000 + 10 * DAY_US
        self.tick(ROUND_SECONDS)
        self.assertEqual(self.listed(), [self.sessions[2].session_id])
        self.assertEqual(
            [(one.by, one.reason.value) for one in self.receipts()], [("policy", "age")] * 2
        )

    def test_live_and_held_stay(self) -> None:
        """A live session is never touched, nor a held one."""
        live = a_session(8)
        self.rig.store.ledger.begin(live, lambda sequence: None)
        held = self.rig.store.keeping.hold("desk-1", self.sessions[0].session_id, "an appeal")
        self.rig.settle()
        self.successResultOf(held)
        self.rig.now_us = EPOCH_US + 1_000 * DAY_US
        self.tick()
        self.assertEqual(self.listed(), [self.sessions[0].session_id, live.session_id])

    def test_many(self) -> None:
        """However many have to go, they all do."""
        for number in range(10, 60):
            self.over(a_session(number))
        self.rig.now_us = EPOCH_US + 1_000 * DAY_US
        for _ in range(5):
            self.tick()
        self.assertEqual(self.listed(), [])
        self.assertEqual(len(self.receipts()), 53)

    def test_held_in_its_folder(self) -> None:
        """A hold that the database does not know, because of a kill, counts all the same; and
        the others go."""
        first = self.sessions[0]
        held = self.rig.store.keeping.hold("desk-1", first.session_id, "an appeal")
        self.rig.settle()
        self.successResultOf(held)
        with sqlite3.connect(f"{self.rig.path}/index.sqlite3") as connection:
            connection.execute("UPDATE sessions SET held_time_us = NULL, hold_reason = NULL")
        connection.close()
        self.rig.now_us = EPOCH_US + 1_000 * DAY_US
        self.tick()
        self.assertEqual(self.listed(), [first.session_id])
        record = self.successResultOf(self.rig.store.archive.session("desk-1", first.session_id))
        assert record.hold is not None
        self.assertEqual(record.hold.reason, "an appeal")

    def test_gone_by_hand(self) -> None:
        """A session whose folder somebody has removed goes as others do."""
        shutil.rmtree(folder_of(self.rig, self.sessions[0]))
        self.rig.now_us = EPOCH_US + 1_000 * DAY_US
        self.tick()
        self.assertEqual((self.listed(), self.receipts()[2].parts), ([], 0))


class GoneFolderTests(RemoverCase):
    """The disk of the data folder is unmounted: another folder is in its place."""

    policy = Policy(max_age_us=10 * DAY_US)

    def test_nothing_goes(self) -> None:
        """Nothing is deleted, by the policy or by hand, nor held, whatever the database still
        says, and nothing is written to where the folder was; with the disk it all comes back."""
        kept: str = self.mktemp()
        self.rig.store.remover.round()
        os.rename(self.rig.path, kept)
        os.mkdir(self.rig.path)
        self.rig.now_us = EPOCH_US + 1_000 * DAY_US
        deleted = self.delete(self.sessions[0])
        held = self.rig.store.keeping.hold("desk-1", self.sessions[1].session_id, "why")
        with capturedLogs() as logged:
            for _ in range(3):
                self.tick()
        self.assertIn("mounted", self.failureResultOf(deleted, StoreError).getErrorMessage())
        self.assertIn("mounted", self.failureResultOf(held, StoreError).getErrorMessage())
        self.assertEqual(os.listdir(self.rig.path), [])
        told = [one for one in logged if "by the policy" in one.get("log_format", "")]
        self.assertEqual(len(told), 1)
        os.rmdir(self.rig.path)
        os.rename(kept, self.rig.path)
        self.assertEqual((len(self.listed()), self.receipts()), (3, []))
        self.tick()
        self.assertEqual((self.listed(), len(self.receipts())), ([], 3))


class RehearsalTests(RemoverCase):
    """A policy that only says what it would do."""

    policy = Policy(max_age_us=0, is_rehearsal=True)

    def test_nothing_goes(self) -> None:
        """Nothing is deleted, and it is still told what would be."""
        self.rig.now_us = EPOCH_US + 1_000 * DAY_US
        self.tick()
        self.assertEqual(len(self.listed()), 3)
        plan = self.successResultOf(self.rig.store.keeping.retention(2))
        ids = [one.candidate.session_id for one in plan.due]
        self.assertEqual(ids, [one.session_id for one in self.sessions[:2]])
        self.assertTrue(plan.is_more)


class FullDiskTests(RemoverCase):
    """A disk without room, and a policy that makes some."""

    policy = Policy(min_free_bytes=10_000)

    def setUp(self) -> None:
        """A disk with room."""
        super().setUp()
        self.live = a_session(9)
        self.rig.store.ledger.begin(self.live, lambda sequence: None)
        self.rig.settle()

    def test_below_the_minimum(self) -> None:
        """When there is less than the minimum, the oldest goes within a second."""
        self.rig.disk.room_bytes = 9_999
        self.rig.clock.advance(LOOK_SECONDS)
        self.rig.store.remover.round()
        self.rig.store.writer.round()
        self.assertNotIn(self.sessions[0].session_id, self.listed())

    def test_disk_that_says_nothing(self) -> None:
        """A disk that does not say what it has is complained of once, and asked again."""
        disk, free_bytes = self.rig.disk, self.rig.disk.free_bytes

        def failing(path: str) -> int:
            raise OSError(errno.EIO, "no")

        disk.free_bytes = failing  # type: ignore[method-assign]
        with capturedLogs() as logged:
            for _ in range(3):
                self.tick(LOOK_SECONDS)
        self.assertEqual(len([one for one in logged if "by the policy" in one["log_format"]]), 1)
        disk.free_bytes = free_bytes  # type: ignore[method-assign]
        disk.room_bytes = 9_999
        self.tick(LOOK_SECONDS)
        self.assertNotIn(self.sessions[0].session_id, self.listed())

    def test_no_more_than_needed(self) -> None:
        """While one goes, and the disk does not have its room yet, no other is chosen for it."""
        folder = folder_of(self.rig, self.sessions[0])

        def free_bytes(path: str) -> int:
            return 9_999 if os.path.exists(folder) else 20_000

        self.rig.disk.free_bytes = free_bytes  # type: ignore[method-assign]
        for _ in range(5):
            self.rig.clock.advance(LOOK_SECONDS)
            self.rig.store.remover.round()
        self.tick(LOOK_SECONDS)
        self.tick(LOOK_SECONDS)
        self.assertEqual(len(self.receipts()), 1)

    def test_full(self) -> None:
        """A write that found no room makes the oldest go at once, with a receipt for which room
        was kept; then the writing goes on."""
        disk = self.rig.disk
        self.assertEqual(os.path.getsize(f"{self.rig.path}/reserve"), RESERVE_BYTES)
        free = 100_000
        disk.free_bytes = lambda path: free  # type: ignore[method-assign]
        disk.errors["append"] = errno.ENOSPC
        given: list[str] = []

        def before(name: str, path: str) -> None:
            if name == "truncate" and path.endswith("reserve"):
                given.append(path)
                disk.errors.clear()

        disk.before = before
        disk.errors["write"] = errno.ENOSPC
        self.rig.store.ledger.append(self.live.session_id, an_arrival(self.live, 0))
        self.rig.store.writer.round()
        for _ in range(2):
            self.rig.store.remover.round()
            self.rig.store.writer.round()
        self.rig.store.remover.round()
        self.assertEqual(len(given), 1)
        self.assertEqual(os.path.getsize(f"{self.rig.path}/reserve"), RESERVE_BYTES - SLICE_BYTES)
        self.assertEqual(len(self.listed()), 3)
        self.assertEqual([one.reason.value for one in self.receipts()], ["space"])
        self.tick(2)
        self.assertEqual(len(self.listed()), 3)
        self.assertEqual(len(stored(self.rig, self.live)), 1)

    def test_full_and_not_any_more(self) -> None:
        """Room that others have made is room: what was said before of a full disk deletes
        nothing later."""
        for session in self.sessions:
            held = self.rig.store.keeping.hold("desk-1", session.session_id, "why")
            self.rig.settle()
            self.successResultOf(held)
        self.rig.disk.free_bytes = lambda path: 100_000  # type: ignore[method-assign]
        self.rig.disk.errors["write"] = errno.ENOSPC
        self.rig.store.ledger.append(self.live.session_id, an_arrival(self.live, 0))
        self.rig.store.writer.round()
        self.rig.clock.advance(LOOK_SECONDS)
        self.rig.store.remover.round()
        self.rig.disk.errors.clear()
        self.tick(LOOK_SECONDS)
        self.assertEqual(len(stored(self.rig, self.live)), 1)
        self.rig.store.ledger.end(self.live.session_id, "over", EPOCH_US)
        self.rig.settle()
        for _ in range(3):
            self.tick()
        self.assertEqual(self.receipts(), [])

    def test_one_that_cannot_go(self) -> None:
        """A session whose records cannot be read does not keep others from going, and goes itself
        when they can."""
        disk, read = self.rig.disk, self.rig.disk.read
        broken = folder_of(self.rig, self.sessions[0])

        def failing(path: str, offset: int, size: int) -> bytes:
            if os.path.abspath(path).startswith(os.path.abspath(broken)) and path.endswith("idx"):
                raise OSError(errno.EIO, "no")
            return read(path, offset, size)

        disk.read = failing  # type: ignore[method-assign]
        disk.free_bytes = lambda path: 9_999  # type: ignore[method-assign]
        for _ in range(3):
            self.tick(LOOK_SECONDS)
        gone = [session.session_id for session in self.sessions[1:]]
        self.assertEqual(sorted(one.session_id for one in self.receipts()), gone)
        disk.read = read  # type: ignore[method-assign]
        self.tick(LOOK_SECONDS)
        self.assertEqual(len(self.receipts()), 2)
        self.tick(PASS_OVER_SECONDS)
        self.assertEqual(len(self.receipts()), 3)

    def test_index_that_is_full(self) -> None:
        """A database that cannot be written does not keep the room from being made."""
        index = self.rig.store.writer._index
        save = index.save

        def full(*given: Any) -> Any:
            raise StoreError("database or disk is full")

        index.save = full  # type: ignore[method-assign,assignment]
        answer = self.delete(self.sessions[0])
        for _ in range(3):
            self.rig.store.remover.round()
            self.rig.store.writer.round()
        self.assertFalse(os.path.exists(folder_of(self.rig, self.sessions[0])))
        self.successResultOf(answer)
        self.assertNotIn(self.sessions[0].session_id, self.listed())
        index.save = save  # type: ignore[method-assign]
        self.tick(2)
        self.assertEqual(len(self.receipts()), 1)
        self.assertNotIn(self.sessions[0].session_id, self.listed())


class OffTests(SynchronousTestCase):
    """Durability `os`."""

    def test_nothing_is_synced(self) -> None:
        """Nothing of a recording, a hold or a deletion is synced; with `disk`, all is."""
        for durability, is_synced in (("os", False), ("disk", True)):
            disk = FaultyDisk()
            rig = Rig(self.mktemp(), disk=disk, durability=durability)
            disk.done.clear()
            session = a_session()
            rig.store.ledger.begin(session, lambda sequence: None)
            rig.store.ledger.append(session.session_id, an_arrival(session, 0))
            rig.store.ledger.end(session.session_id, "over", EPOCH_US)
            rig.settle()
            rig.store.keeping.delete("desk-1", session.session_id, "me", rehearse=False)
            rig.settle()
            rig.close()
            self.assertEqual("sync" in [name for name, _ in disk.done], is_synced, durability)


class LineTests(SynchronousTestCase):
    """A receipt as a line."""

    def test_round_trip(self) -> None:
        """What is written is read; anything else is refused."""
        receipt = Receipt(
            number=1,
            deleted_time_us=2,
            started_time_us=3,
            parts=1,
            reason=DeletionReason.AGE,
            by="x",
            sentinel_id="desk-1",
            session_id="s" * 16,
            name="\u2603",
            group="",
            ended_time_us=None,
            end_reason="",
            start_time_us=-5,
            end_time_us=None,
            first_sequence=0,
            last_sequence=2**32 - 1,
            segment_count=0,
            size_bytes=0,
            lost=(("missing", 3),),
            records_sha256="0" * 64,
        )
        line = write_receipt(receipt)
        self.assertEqual((read_receipt(line), line.count(b"\n")), (receipt, 1))
        for bad in (
            b"",
            b"{}",
            b"[]",
            b"null",
            line[:-3],
            line.replace(b'"parts":1', b'"parts":"1"'),
        ):
            with self.assertRaises(StoreError):
                read_receipt(bad)
