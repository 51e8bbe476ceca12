"""Tests of damage that is met while somebody reads: from then on all tells the same of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, FRAME_US, a_session, an_arrival
from vidlink.errors import Damaged, NotFound
from vidlink.model import Cause, ClipQuery, SegmentQuery, Session, SessionState
from vidlink.store.files import records as module
from vidlink.store.files.layout import RECORD_BYTES, read_numbers, read_records, read_session
from vidlink.store.files.records import SessionRecords
from vidlink.store.fsck.check import Check
from vidlink.store.fsck.findings import Finding
from vidlink.store.handover.orders import LookAgain
from vidlink.store.handover.suspects import MOST_SUSPECTS
from vidlink.store.sequences.gaps import FOUND_WHEN_READ, TAKEN_AWAY
from vidlink.store.writing import look

DAY_US = 24 * 60 * 60 * 1_000_000
COUNT = 12


class DamageCase(SynchronousTestCase):
    """A session of twelve segments, with keyframes at 0, 5 and 10, that has ended or goes on."""

    is_over = True

    def setUp(self) -> None:
        """Record it."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(lambda: self.rig.close())
        self.session = a_session()
        self.write(self.session, *range(COUNT))

    def write(self, session: Session, *sequences: int) -> None:
        """Record these of a session, in this order."""
        ledger = self.rig.store.ledger
        ledger.begin(session, lambda sequence: None)
        for sequence in sequences:
            ledger.append(session.session_id, an_arrival(session, sequence))
        self.rig.settle()
        if self.is_over:
            self.end(session)

    def end(self, session: Session) -> None:
        """End it after so many segments."""
        self.rig.store.ledger.end(session.session_id, "over", EPOCH_US + COUNT * FRAME_US)
        self.rig.settle()

    def flip(self, *sequences: int, part: int = 0) -> None:
        """Make a bit of these segments wrong, as they lie in a part."""
        path = os.path.join(folder_of(self.rig, self.session), f"part-{part:04}")
        with open(f"{path}.idx", "rb") as records:
            rows = list(read_numbers(records.read()))
        with open(f"{path}.mp4", "r+b") as file:
            for row in rows:
                if row is not None and row[0] in sequences:
                    file.seek(row[1] + row[2] - 2)
                    byte = file.read(1)[0]
                    file.seek(row[1] + row[2] - 2)
                    file.write(bytes((byte ^ 0x10,)))

    def asked(self, name: str, *arguments: Any) -> Deferred[Any]:
        """Ask the store about the session."""
        ids = self.session.sentinel_id, self.session.session_id
        found: Deferred[Any] = getattr(self.rig.store.archive, name)(*ids, *arguments)
        return found

    def got(self, name: str, *arguments: Any) -> Any:
        """What the store says about the session."""
        return self.successResultOf(self.asked(name, *arguments))

    def read_film(self) -> None:
        """Read the film to its end, or to damage."""
        film, _ = self.got("film")
        read = film.read(0, film.size_bytes)
        read.addErrback(lambda failure: failure.trap(Damaged))
        self.successResultOf(read)

    def read_segments(self) -> None:
        """Read all segments, or up to damage."""
        body, _ = self.got("media", 0, COUNT - 1)
        body.read(0, body.size_bytes).addErrback(lambda failure: failure.trap(Damaged))

    def read_each(self) -> None:
        """Read one segment after the other."""
        for segment in self.got("segments", SegmentQuery()).segments:
            body, _ = self.got("media", segment.sequence, segment.sequence)
            body.read(0, body.size_bytes).addErrback(lambda failure: failure.trap(Damaged))

    def assert_tells(self, *lost: int) -> None:
        """Everything that is asked tells that these are damaged, and just these missing."""
        there = [one for one in range(COUNT) if one not in lost]
        record = self.got("session")
        named = [(gap.first, gap.last) for gap in record.gaps if gap.cause is Cause.DAMAGED]
        self.assertEqual([one for low, high in named for one in range(low, high + 1)], [*lost])
        self.assertEqual(record.segment_count, len(there))
        sizes = [len(an_arrival(self.session, one).segment.data) for one in there]
        self.assertEqual(record.size_bytes, sum(sizes))
        page = self.got("segments", SegmentQuery())
        self.assertEqual([one.sequence for one in page.segments], there)
        self.assertEqual([gap for gap in page.gaps if gap.first is not None], [*record.gaps])
        body, missing = self.got("media", 0, COUNT - 1)
        self.assertEqual(missing, tuple(named))
        data = b"".join(an_arrival(self.session, one).segment.data for one in there)
        self.assertEqual(self.successResultOf(body.read(0, body.size_bytes)), data)
        for sequence in lost:
            self.failureResultOf(self.asked("media", sequence, sequence), NotFound)
        film, _ = self.got("film")
        data = self.successResultOf(film.read(0, film.size_bytes))
        for sequence in lost:
            self.assertNotIn(bytes(an_arrival(self.session, sequence).segment.data), data)
        text = self.successResultOf(self.got("playlist").read(0, 10_000)).decode()
        spread = [line[9:-4].split("-") for line in text.splitlines() if line.startswith("seg")]
        listed = [one for low, high in spread for one in range(int(low), int(high) + 1)]
        self.assertFalse(set(listed) & set(lost), text)

    def check(self) -> list[Finding]:
        """The findings of a check of a copy of the folder."""
        path = self.mktemp()
        shutil.copytree(self.rig.path, path)
        found: list[Finding] = []
        Check(
            path, self.rig.disk, put=found.append, expect=lambda size: None, came=lambda size: None
        ).run()
        return [one for one in found if one.is_damage]


class ClosedTests(DamageCase):
    """A session that nobody writes to."""

    def test_whoever_reads_it(self) -> None:
        """Damage that is met in a film, in a range or in a segment is a gap for whoever asks for
        anything after that, and after the next start; a check finds all in order."""
        for sequence, read in ((1, self.read_film), (6, self.read_segments), (11, self.read_each)):
            self.flip(sequence)
            read()
            self.rig.settle()
        self.assert_tells(1, 6, 11)
        self.assertEqual(self.rig.store.counts.missing[Cause.DAMAGED], 3)
        self.assertEqual(self.check(), [])
        self.rig = self.rig.again()
        self.assert_tells(1, 6, 11)

    def test_scattered(self) -> None:
        """Of damage all over a session each is named once it was met."""
        self.flip(0, 2, 3, 8)
        for _ in range(4):
            self.read_film()
            self.read_each()
            self.rig.settle()
        self.assert_tells(0, 2, 3, 8)
        self.assertEqual(self.check(), [])

    def test_one_change(self) -> None:
        """A sealed film changes once for damage that is met: what is made of it before and after
        that is stated is the same, cannot change, and has no date any more; the one before is
        refused by its version."""
        self.rig.now_us = EPOCH_US + 2 * DAY_US
        whole, _ = self.got("film")
        self.flip(6)
        self.read_film()
        met, _ = self.got("film")
        self.assertFalse(met.is_final)
        self.rig.settle()
        marked, _ = self.got("film")
        self.assertEqual(marked.etag, met.etag)
        self.assertNotEqual(marked.etag, whole.etag)
        self.assertEqual((marked.is_final, marked.modified_us), (True, None))
        self.assertEqual(self.got("film", ClipQuery(), whole.etag)[0].etag, marked.etag)
        listed = self.got("playlist")
        self.assertEqual((listed.is_final, listed.modified_us), (True, None))
        self.assertIsNone(self.got("media", 0, COUNT - 1)[0].modified_us)
        self.assertIsNotNone(self.got("media", 0, 5)[0].modified_us)
        self.assertIs(self.got("session").state, SessionState.SEALED)

    def test_two_copies(self) -> None:
        """Of a segment in two parts of which the later copy is damaged the earlier one counts
        from then on, and nothing is missing."""
        folder = folder_of(self.rig, self.session)
        for name in ("part-{}.mp4", "part-{}.idx"):
            shutil.copy(
                os.path.join(folder, name.format("0000")), os.path.join(folder, name.format("0001"))
            )
        self.flip(6, part=1)
        self.read_each()
        self.rig.settle()
        self.assert_tells()
        self.read_each()
        self.rig.settle()
        self.assert_tells()

    def test_wrong_for_a_moment(self) -> None:
        """What is read right by the writer is not marked, whatever a reader has found."""
        self.flip(6)
        self.read_film()
        self.flip(6)
        self.rig.settle()
        self.assert_tells()
        self.assertEqual(self.check(), [])

    def test_unreadable(self) -> None:
        """What cannot be read is never marked: it is left out of films until it can be."""
        whole, _ = self.got("film")
        path = os.path.join(folder_of(self.rig, self.session), "part-0000.mp4")
        os.rename(path, path + "~")
        self.read_film()
        self.rig.settle()
        self.assertNotEqual(self.got("film")[0].etag, whole.etag)
        os.rename(path + "~", path)
        again, _ = self.got("film")
        self.assertEqual(again.etag, whole.etag)
        self.assert_tells()

    def test_unreadable_for_the_writer(self) -> None:
        """What the writer cannot read is not marked, and is looked at again when it is met."""
        self.flip(6)
        self.read_film()
        self.rig.disk.errors["read"] = errno.EIO
        self.rig.settle()
        self.rig.disk.errors.clear()
        self.assertEqual(len(self.got("segments", SegmentQuery()).segments), COUNT)
        self.read_each()
        self.rig.settle()
        self.assert_tells(6)

    def test_a_failing_round(self) -> None:
        """A database that cannot be told, or a disk that cannot be synced, is told later."""
        self.flip(6)
        self.read_film()
        for name in ("sync", "overwrite"):
            self.rig.disk.errors[name] = errno.EIO
            self.rig.store.writer.round()
            self.assertEqual(len(self.got("segments", SegmentQuery()).segments), COUNT)
            self.rig.disk.errors.clear()
        self.read_each()
        self.rig.clock.advance(2)
        self.rig.settle()
        self.assert_tells(6)
        self.assertEqual(self.check(), [])

    def test_killed_in_between(self) -> None:
        """Wherever a kill falls between the steps, damage that is met again is told of in full."""
        self.flip(6)
        self.read_film()
        marks: list[str] = []
        before = self.rig.disk.overwrite

        def overwrite(*arguments: Any) -> None:
            marks.append(self.mktemp())
            shutil.copytree(self.rig.path, marks[-1])
            before(*arguments)

        self.patch(self.rig.disk, "overwrite", overwrite)
        self.rig.settle()
        (path,) = marks
        self.rig.close()
        self.rig = Rig(path)
        self.read_each()
        self.rig.settle()
        self.assert_tells(6)
        self.assertEqual(self.check(), [])

    def test_much(self) -> None:
        """More than a round reads is looked at in several."""
        self.patch(look, "MOST_LOOK_BYTES", 1)
        self.flip(*range(COUNT))
        self.read_film()
        self.rig.settle()
        self.read_each()
        self.rig.settle()
        self.assertEqual(self.got("segments", SegmentQuery()).segments, ())
        self.assertEqual([(one.first, one.last) for one in self.got("session").gaps], [(0, 11)])

    def test_stopped_meanwhile(self) -> None:
        """A stop does not wait for it; what is left is told of when it is met again."""
        self.flip(6)
        self.read_each()
        looks: list[object] = []

        def go_on(*arguments: object) -> bool:
            looks.append(arguments)
            return len(looks) > COUNT

        patched = self.patch(look.Look, "go_on", go_on)
        self.rig = self.rig.again()
        patched.restore()
        self.assertEqual(looks, [])
        self.read_each()
        self.rig.settle()
        self.assert_tells(6)

    def test_heads(self) -> None:
        """Damage to the boxes of a segment, by which a film of older records or of several frames
        in each is made, is met when that is opened."""
        folder = folder_of(self.rig, self.session)
        path = os.path.join(folder, "part-0000")
        with open(f"{path}.idx", "rb") as file:
            records = [one for one in read_records(file.read()) if one is not None]
        with open(f"{path}.idx", "wb") as file:
            file.write(b"".join(one._replace(sample_offset=0).pack() for one in records))
        for sequence, place in ((3, 5), (6, 12)):
            with open(f"{path}.mp4", "r+b") as file:
                file.seek(records[sequence].offset + place)
                file.write(b"*")
        met, _ = self.got("film")
        self.assertIn(b"what was written is damaged", self.successResultOf(met.read(0, 10**6)))
        self.rig.settle()
        self.assertEqual(self.got("film")[0].etag, met.etag)
        self.assert_tells(3, 6)

    def test_out_of_order(self) -> None:
        """Records that do not ascend end the film, and are not read for ever."""
        self.patch(module, "_CHUNK", COUNT - 5)
        path = os.path.join(folder_of(self.rig, self.session), "part-0000.idx")
        with open(path, "r+b") as file:
            data = file.read()
            file.seek(0)
            file.write(data[5 * RECORD_BYTES :] + data[: 5 * RECORD_BYTES])
        _, clip = self.got("film")
        self.assertEqual(clip.last, COUNT - 1)

    def test_held(self) -> None:
        """A hold that is asked for at the same time stays."""
        self.flip(6)
        self.read_film()
        ids = self.session.sentinel_id, self.session.session_id
        held = self.rig.store.keeping.hold(*ids, "an appeal")
        self.rig.settle()
        self.successResultOf(held)
        self.assert_tells(6)
        self.assertEqual(self.got("session").hold.reason, "an appeal")
        self.rig = self.rig.again()
        self.assertEqual(self.got("session").hold.reason, "an appeal")

    def test_removed(self) -> None:
        """A session that is deleted meanwhile is gone, and nothing comes of it."""
        self.flip(6)
        self.read_film()
        shutil.rmtree(folder_of(self.rig, self.session))
        self.rig.settle()
        self.flushLoggedErrors()

    def test_a_fault_of_ours(self) -> None:
        """A look that fails as nobody has thought of costs nobody else the recording."""
        self.flip(6)
        self.read_each()
        self.patch(SessionRecords, "columns_beyond", lambda *arguments: 1 // 0)
        self.is_over = False
        self.session = a_session(1)
        self.write(self.session, 0)
        self.assertEqual(self.rig.store.ledger.load, 0.0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_told_in_the_end(self) -> None:
        """What was stated in the folder the database is told when it can be, though nothing of it
        is to be marked."""
        ids = self.session.sentinel_id, self.session.session_id
        self.rig.store.archive._suspects.tell(*ids, [(COUNT, COUNT)])
        self.rig.disk.errors["sync"] = errno.EIO
        self.rig.store.writer.round()
        self.rig.disk.errors.clear()
        self.rig.settle()
        found = [(one.first, one.last, one.cause) for one in self.got("session").gaps]
        self.assertEqual(found, [(COUNT, COUNT, Cause.DAMAGED)])


class LiveTests(DamageCase):
    """A session that is being recorded, or filled."""

    is_over = False

    def test_live(self) -> None:
        """Damage in a live session is a gap at once, is asked for again, and what comes later is
        recorded behind it; so it is told after the end, and after the next start."""
        self.flip(2)
        self.read_film()
        self.rig.settle()
        self.assert_tells(2)
        ledger, ids = self.rig.store.ledger, self.session.session_id
        self.assertEqual(ledger.lost(ids), ((2, 2),))
        ledger.append(ids, an_arrival(self.session, COUNT))
        self.rig.settle()
        self.assertEqual(self.got("session").last_sequence, COUNT)
        self.end(self.session)
        found = [(one.first, one.last, one.cause) for one in self.got("session").gaps]
        self.assertEqual(found, [(2, 2, Cause.DAMAGED)])
        self.assertEqual(self.check(), [])
        self.rig = self.rig.again()
        self.assertEqual(self.got("session").segment_count, COUNT)

    def test_sent_again(self) -> None:
        """What a Sentinel sends again fills the gap, as anything that is late."""
        self.flip(2)
        self.read_film()
        self.rig.settle()
        late = an_arrival(self.session, 2, late=True)
        self.rig.store.ledger.append(self.session.session_id, late)
        self.rig.settle()
        self.assertEqual(self.got("session").gaps, ())
        self.assertEqual(self.got("session").segment_count, COUNT)

    def test_killed(self) -> None:
        """After a kill at any step of it, damage that is met again is told of in full."""
        self.flip(2)
        self.read_film()
        killed: list[str] = []

        def note(before: Callable[..., Any], *arguments: Any) -> Any:
            killed.append(self.mktemp())
            shutil.copytree(self.rig.path, killed[-1])
            return before(*arguments)

        for name in ("overwrite", "syncfs"):
            self.patch(self.rig.disk, name, partial(note, getattr(self.rig.disk, name)))
        for _ in range(5):
            self.rig.store.writer.round()
            note(lambda: None)
        self.rig.close()
        self.assertGreater(len(killed), 2)
        for path in killed:
            self.rig = Rig(path)
            self.read_each()
            self.rig.settle()
            record = self.got("session")
            named = [gap for gap in record.gaps if gap.first is not None]
            self.assertEqual([(2, 2, Cause.DAMAGED)], [(g.first, g.last, g.cause) for g in named])
            self.assertEqual(record.segment_count, COUNT - 1)
            self.assertEqual(self.check(), [])
            self.rig.close()

    def test_ends_meanwhile(self) -> None:
        """Damage in a session that ends at that moment is a gap all the same."""
        for rounds in range(4):
            session = self.session = a_session(1 + rounds)
            self.write(session, *range(COUNT))
            self.flip(2)
            self.read_film()
            for _ in range(rounds):
                self.rig.store.writer.round()
            self.end(session)
            self.assert_tells(2)

    def test_ends_before_the_report(self) -> None:
        """... also where its account hears of the damage only when it has ended."""
        self.flip(2)
        self.read_film()
        deliver, late = self.rig.store.writer._deliver, list[Any]()
        self.patch(self.rig.store.writer, "_deliver", late.append)
        self.rig.store.writer.round()
        self.rig.store.ledger.end(self.session.session_id, "over", EPOCH_US + COUNT * FRAME_US)
        self.patch(self.rig.store.writer, "_deliver", deliver)
        for report in late:
            deliver(report)
        self.rig.settle()
        self.assert_tells(2)
        self.assertEqual(self.check(), [])

    def test_filled(self) -> None:
        """Damage in a session that was opened again for what comes late is a gap at once."""
        self.end(self.session)
        opened = self.rig.store.ledger.reopen(self.session, lambda sequence: None)
        self.rig.settle()
        self.successResultOf(opened)
        self.flip(2)
        self.read_film()
        self.rig.settle()
        self.assert_tells(2)
        self.end(self.session)
        self.assert_tells(2)
        self.assertEqual(self.check(), [])

    def test_its_folder_is_removed(self) -> None:
        """Where all is taken away before its records say it, the gaps say that, and so does the
        log."""
        self.flip(2)
        self.read_film()
        self.rig.store.writer.round()
        shutil.rmtree(folder_of(self.rig, self.session))
        self.rig.store.ledger.append(self.session.session_id, an_arrival(self.session, COUNT))
        self.rig.store.writer.round()
        self.rig.clock.advance(2)
        self.rig.settle()
        found = [(one.first, one.last, one.detail) for one in self.got("session").gaps]
        expected = [(0, 1, TAKEN_AWAY), (2, 2, FOUND_WHEN_READ), (3, COUNT - 1, TAKEN_AWAY)]
        self.assertEqual(found, expected)

    def test_its_part_is_removed(self) -> None:
        """Where the files are taken away before their records say it, what comes is recorded and
        acknowledged all the same, of this session and of others."""
        told: list[int] = []
        other = a_session(1)
        self.rig.store.ledger.begin(other, told.append)
        self.flip(2)
        self.read_film()
        self.rig.store.writer.round()
        for name in ("part-0000.mp4", "part-0000.idx"):
            os.remove(os.path.join(folder_of(self.rig, self.session), name))
        for session, sequence in ((self.session, COUNT), (other, 0)):
            self.rig.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.rig.store.writer.round()
        self.rig.store.writer.round()
        self.assertEqual(told, [0])
        self.rig.clock.advance(2)
        self.rig.settle()
        self.assertEqual(self.rig.store.ledger.load, 0.0)
        self.assertEqual(self.got("session").segment_count, 1)


class BoundTests(DamageCase):
    """However much is met, so much waits."""

    def test_orders(self) -> None:
        """What is met again while it waits is one order, and no more wait than the bound says; the
        rest is told when it is met again."""
        suspects = self.rig.store.archive._suspects
        ids = self.session.sentinel_id, self.session.session_id
        for _ in range(3):
            suspects.tell(*ids, [(6, 6)])
        self.assertEqual(len(self.rig.store.writer._inbox.drain()), 1)
        many = [(2 * number, 2 * number) for number in range(2 * MOST_SUSPECTS)]
        suspects.tell(*ids, many)
        suspects.tell("another", "session-of-another", [(1, 1)])
        (order,) = self.rig.store.writer._inbox.drain()
        assert isinstance(order, LookAgain)
        self.assertEqual(len(order.ranges), MOST_SUSPECTS - 1)
        suspects.looked(order)
        suspects.tell("another", "session-of-another", [(1, 1)])
        self.assertEqual(len(self.rig.store.writer._inbox.drain()), 1)

    def test_only_flags(self) -> None:
        """A record of what is damaged says so, and all else as before."""
        path = os.path.join(folder_of(self.rig, self.session), "part-0000.idx")
        with open(path, "rb") as file:
            before = list(read_records(file.read()))
        self.flip(2, 6)
        self.read_each()
        self.rig.settle()
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(len(data), COUNT * RECORD_BYTES)
        for old, new in zip(before, read_records(data), strict=True):
            assert old is not None
            assert new is not None
            self.assertEqual(new.is_damaged, new.sequence in (2, 6))
            self.assertEqual(new._replace(flags=old.flags), old)
        with open(os.path.join(os.path.dirname(path), "session.json"), "rb") as file:
            gaps = read_session(file.read()).gaps
        self.assertEqual([(one.first, one.last) for one in gaps], [(2, 2), (6, 6)])
