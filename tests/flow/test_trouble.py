"""Tests of a recording in trouble on the whole road: who sees it, and that it goes away.

The disk is the real one, behind a store whose rounds are done by hand: a disk that hangs is one
of which no round comes back.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.peers import FakeProctorPeer, FakeSentinelPeer
from tests.links.memory import MemoryServer
from tests.store.recorded import stored
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.messages import Ack, DeclareGap, ErrorMessage, Sentinels, Subscribe
from vidlink.model import Cause, Policy, RecordingState, Segment
from vidlink.server.health.health import CALM_SECONDS, OK, Health
from vidlink.server.health.metrics import Metrics

#: Everybody has to know after so long.
PATIENCE_SECONDS = 10
ROUNDS_A_SECOND = 4


class TroubleCase(SynchronousTestCase):
    """A server with a recording on a real disk, a Sentinel that sends, a Proctor that watches."""

    def setUp(self) -> None:
        """Start it."""
        self.make()

    def make(self, **options: Any) -> None:
        """A new server, with these options of the store."""
        self.rig = Rig(self.mktemp(), **options)
        self.addCleanup(self.rig.close)
        self.rig.clock.advance(1_000.0)
        self.server = MemoryServer(store=self.rig.store.ledger)
        hub = self.server.hub
        self.health = Health(self.rig.store, self.rig.store.archive, hub, self.server.clock.seconds)
        self.metrics = Metrics(hub, self.rig.store, self.health, ())
        self.hangs = False
        self.sentinels: dict[str, FakeSentinelPeer] = {}
        self.sent = 0
        self.add("desk-1")
        self.viewer = self.watching("desk-1")
        self.lines: list[str] = []
        note: Any = self.note
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def note(self, event: Any) -> None:
        """Keep the lines of the log that somebody has to read."""
        if event["log_level"] in (LogLevel.warn, LogLevel.error) and event.get("log_format"):
            self.lines.append(event["log_format"].format(**event))
        elif "well again" in (event.get("log_format") or ""):
            self.lines.append("well again")

    def add(self, name: str) -> None:
        """A Sentinel whose session has begun."""
        sentinel = self.sentinels[name] = self.server.sentinel(name)
        sentinel.register(f"session-of-{name:_<16}")
        sentinel.init()

    def watching(self, name: str) -> FakeProctorPeer:
        """A Proctor that watches, and has read what there is."""
        proctor = self.server.proctor()
        proctor.say(Subscribe(name))
        proctor.read()
        return proctor

    def second(self, segments: int = 1) -> None:
        """A second passes, in which so many segments come from each Sentinel."""
        for _ in range(segments):
            for sentinel in self.sentinels.values():
                sentinel.segment(self.sent)
            self.sent += 1
        for _ in range(0 if self.hangs else ROUNDS_A_SECOND):
            self.rig.store.writer.round()
            self.rig.clock.advance(1 / ROUNDS_A_SECOND)
        if self.hangs:
            self.rig.clock.advance(1.0)
        self.health.tick()
        self.server.second()
        self.viewer.read()

    def session(self, name: str = "desk-1") -> Any:
        """The session of a Sentinel, as history shows it."""
        session_id = self.sentinels[name].session_id
        return self.successResultOf(self.rig.store.archive.session(name, session_id))

    def states(self) -> set[RecordingState]:
        """What the newest list that the Proctor has says of every Sentinel."""
        rows = {}
        for news in self.viewer.all_heard(Sentinels):
            rows.update({row.sentinel_id: row.recording for row in news.sentinels})
        return set(rows.values())

    def values(self) -> dict[str, float]:
        """The metrics by their names, and by the check that they are of."""
        families = text_string_to_metric_families(self.metrics.text().decode("utf-8"))
        samples = [sample for family in families for sample in family.samples]
        return {f"{one.name} {one.labels.get('check', '')}".rstrip(): one.value for one in samples}

    def troubled(self) -> float:
        """How many sessions are in trouble, by the metrics."""
        return self.values()["vidlink_recording_troubled_sessions"]

    def places(self) -> dict[str, bool]:
        """Which of the places say that there is trouble."""
        return {
            "list": RecordingState.TROUBLE in self.states(),
            "readyz": any(words != OK for words in self.health.checks().values()),
            "metrics": self.values()["vidlink_ready recording"] == 0,
            "log": bool(self.lines) and self.lines[-1] != "well again",
        }

    def assert_everywhere(self, told: bool, seconds: int = PATIENCE_SECONDS) -> None:
        """All four places say so within this time."""
        for _ in range(seconds):
            self.second()
            if set(self.places().values()) == {told}:
                return
        self.fail(f"{told} is not everywhere: {self.places()}")

    def assert_seen(self) -> None:
        """The viewer has been sent everything that was sent."""
        seen = [message.sequence for message in self.viewer.all_heard(Segment)]
        self.assertEqual(seen, list(range(self.sent)))


class EverywhereTests(TroubleCase):
    """Whatever the trouble is, four places say so within ten seconds, and stop by themselves."""

    def check(self, begin: Callable[[], None], end: Callable[[], None], why: str) -> None:
        """All is well, then there is trouble for the reason `why`, then all is well again."""
        for _ in range(3):
            self.second()
        self.assertEqual(set(self.places().values()), {False})
        begin()
        self.assert_everywhere(True)
        self.assertIn(why, self.health.checks()["recording"])
        (alarm,) = self.viewer.all_heard(ErrorMessage)
        self.assertEqual((alarm.code, alarm.about), ("recording", None))
        self.assertIn(why, alarm.message)
        for _ in range(30):
            self.second()
        self.assertEqual(len(self.lines), 1, self.lines)
        end()
        self.assert_everywhere(False, PATIENCE_SECONDS + int(CALM_SECONDS))
        self.assertEqual(self.lines[1:], ["well again"])
        self.assert_seen()
        self.assertEqual(self.session().gaps, ())
        self.assertEqual(self.session().segment_count, self.sent)

    def fault(self, operation: str, number: int) -> tuple[Callable[[], None], Callable[[], None]]:
        """The disk fails with this error, and then no more."""
        errors = self.rig.disk.errors
        return lambda: errors.update({operation: number}), errors.clear

    def test_disk_full(self) -> None:
        """The disk is full."""
        self.check(*self.fault("write", errno.ENOSPC), "No space left on device")

    def test_write_error(self) -> None:
        """The disk reports an error when it is written to."""
        self.check(*self.fault("write", errno.EIO), "Input/output error")

    def test_sync_error(self) -> None:
        """The disk reports an error when it is synced."""
        self.check(*self.fault("sync", errno.EIO), "Input/output error")

    def test_read_only(self) -> None:
        """The disk has become read-only: nothing new can be made on it."""
        self.rig.disk.most_bytes = 1_000
        self.check(*self.fault("write", errno.EROFS), "Read-only file system")

    def test_hanging(self) -> None:
        """The disk does not come back from a write."""

        def hang(does: bool) -> Callable[[], None]:
            return lambda: setattr(self, "hangs", does)

        self.check(hang(True), hang(False), "the disk does not answer")

    def test_folder_gone(self) -> None:
        """Somebody has moved the data folder away, and nothing is acknowledged meanwhile."""
        away = self.rig.path + "-away"

        def take_away() -> None:
            os.rename(self.rig.path, away)
            self.acks = len(self.sentinels["desk-1"].all_heard(Ack))

        def bring_back() -> None:
            self.assertLessEqual(len(self.sentinels["desk-1"].all_heard(Ack)), self.acks + 1)
            self.assertFalse(os.path.exists(self.rig.path))
            os.rename(away, self.rig.path)

        self.check(take_away, bring_back, "the data folder is gone")

    def test_another_folder(self) -> None:
        """Another folder in the place of ours is none of ours, and is left as it is."""
        away = self.rig.path + "-away"

        def swap() -> None:
            os.rename(self.rig.path, away)
            os.mkdir(self.rig.path)

        def bring_back() -> None:
            os.rmdir(self.rig.path)
            os.rename(away, self.rig.path)

        self.check(swap, bring_back, "the data folder is gone")

    def test_index(self) -> None:
        """The database cannot be written; what is sent is recorded all the same."""
        path = os.path.join(self.rig.path, "index.sqlite3")
        holder = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(holder.close)

        def rename(table: str, name: str) -> None:
            holder.execute(f"ALTER TABLE {table} RENAME TO {name}")

        self.check(
            lambda: rename("spans", "away"),
            lambda: rename("away", "spans"),
            "the index cannot be written",
        )

    def test_nothing_comes(self) -> None:
        """It goes away also where nothing more comes from the Sentinel to show that."""
        self.second()
        begin, end = self.fault("write", errno.EIO)
        begin()
        self.assert_everywhere(True)
        end()
        for _ in range(int(CALM_SECONDS) + 3):
            self.second(segments=0)
        self.assertEqual(set(self.places().values()), {False})


class RetentionTests(TroubleCase):
    """A full disk on which the policy makes room, once there is something that may go."""

    def test_makes_room(self) -> None:
        """Trouble is told in every place as long as nothing may go, and goes away in all of them
        by itself when something has; viewers notice nothing."""
        wanted = 100_000
        self.make(policy=Policy(min_free_bytes=wanted))
        store, disk = self.rig.store, self.rig.disk
        self.health = Health(
            store, store.archive, self.server.hub, self.server.clock.seconds, min_free_bytes=wanted
        )
        self.metrics = Metrics(self.server.hub, store, self.health, ())
        old = a_session(1, sentinel_id="desk-old")
        store.ledger.begin(old, lambda sequence: None)
        store.ledger.append(old.session_id, an_arrival(old, 0))
        store.ledger.end(old.session_id, "over", EPOCH_US)
        held = store.keeping.hold("desk-old", old.session_id, "why")
        self.rig.settle()
        self.successResultOf(held)
        for _ in range(3):
            self.tick()
        self.assertEqual(set(self.places().values()), {False})

        def before(name: str, path: str) -> None:
            if name == "remove" and old.session_id in path:
                disk.room_bytes = None

        disk.before, disk.room_bytes = before, 0
        for _ in range(PATIENCE_SECONDS):
            self.tick()
        self.assertEqual(set(self.places().values()), {True}, self.places())
        self.assertIn("free on the disk", self.health.checks()["disk"])
        self.assertEqual(self.values()["vidlink_ready disk"], 0)
        self.assertEqual(self.successResultOf(store.keeping.receipts(None, 9)).receipts, ())
        disk.room_bytes = 10_000
        store.keeping.hold("desk-old", old.session_id, None)
        for _ in range(PATIENCE_SECONDS + int(CALM_SECONDS)):
            self.tick()
        self.assertEqual(set(self.places().values()), {False}, self.places())
        self.assertEqual(self.values()["vidlink_ready disk"], 1)
        (receipt,) = self.successResultOf(store.keeping.receipts(None, 9)).receipts
        self.assertEqual(receipt.session_id, old.session_id)
        self.assert_seen()
        self.assertEqual(self.session().gaps, ())
        self.assertEqual(self.session().segment_count, self.sent)

    def tick(self) -> None:
        """A second passes, also for who deletes."""
        self.second()
        self.rig.store.remover.round()


class CrowdTests(TroubleCase):
    """Many Sentinels at once."""

    def test_all_at_once(self) -> None:
        """When the disk is full every Sentinel's row says so, and the log one line."""
        for number in range(2, 101):
            self.add(f"desk-{number}")
        self.second()
        self.rig.disk.errors["write"] = errno.ENOSPC
        for _ in range(3):
            self.second()
        self.assertEqual(self.states(), {RecordingState.TROUBLE})
        self.assertEqual(self.troubled(), 100)
        (line,) = self.lines
        self.assertIn("100 of 100 sessions not recorded: No space left on device", line)
        self.rig.disk.errors.clear()
        for _ in range(int(CALM_SECONDS) + 3):
            self.second()
        self.assertEqual(self.states(), {RecordingState.OK})
        self.assertEqual(set(self.places().values()), {False})
        self.assertEqual(len(self.lines), 2)

    def test_one_alone(self) -> None:
        """Where one session cannot be written the others' rows do not change."""
        self.add("desk-2")
        self.second()
        real = self.rig.disk.writev

        def writev(descriptor: int, buffers: Any) -> int:
            if "desk-2" in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(errno.EIO, "Input/output error")
            return real(descriptor, buffers)

        self.rig.disk.writev = writev  # type: ignore[method-assign]
        for _ in range(3):
            self.second()
        self.assertEqual(self.states(), {RecordingState.TROUBLE, RecordingState.OK})
        self.assertEqual(self.troubled(), 1)


class BoundTests(TroubleCase):
    """The queue's bound, and what happens there."""

    def setUp(self) -> None:
        """A short queue, and a disk that has hung up."""
        self.make(queue_segments=20)
        for _ in range(3):
            self.second()
        self.hangs = True

    def reached(self) -> list[int]:
        """What the Sentinel has been told is acknowledged, so far."""
        return [ack.sequence for ack in self.sentinels["desk-1"].all_heard(Ack)]

    def test_bound(self) -> None:
        """At the bound exactly what comes is missing, with the cause; nobody's picture stops,
        everybody is told, nothing is acknowledged, and with the disk recording comes back."""
        before = self.reached()
        for _ in range(6):
            self.second(segments=5)
        self.assertEqual(self.sent, 33)
        self.assertEqual(self.rig.store.ledger.load, 1.0)
        self.assertEqual(set(self.places().values()), {True})
        self.assertEqual(self.health.checks()["queue"], "the queue for the disk is 100 % full")
        self.assert_seen()
        self.assertEqual(self.reached(), before)
        gaps = [(gap.first, gap.last, gap.cause) for gap in self.session().gaps]
        self.assertEqual(gaps, [(23, 32, Cause.QUEUE_FULL)])
        self.hangs = False
        for _ in range(int(CALM_SECONDS) + 3):
            self.second()
        self.assert_seen()
        self.assertEqual(set(self.places().values()), {False})
        gaps = [(gap.first, gap.last, gap.cause) for gap in self.session().gaps]
        # One more came before the first round did.
        self.assertEqual(gaps, [(23, 33, Cause.QUEUE_FULL)])
        self.assertEqual(self.reached()[-1], 22)
        self.assertEqual(self.rig.store.counts.missing[Cause.QUEUE_FULL], 11)

    def test_come_again(self) -> None:
        """What was refused is asked for, and once it has come nothing is missing any more."""
        sentinel = self.sentinels["desk-1"]
        for _ in range(6):
            self.second(segments=5)
        self.hangs = False
        self.second()
        self.second()
        asked = [one for ack in sentinel.all_heard(Ack) for one in ack.missing]
        self.assertEqual(asked, [(23, 33)])
        # Half of the queue is for what comes late.
        for late in (range(23, 29), range(29, 34)):
            for sequence in late:
                sentinel.segment(sequence, late=True)
            self.second()
        self.second()
        self.assertEqual(self.session().gaps, ())
        self.assertEqual(self.reached()[-1], self.sent - 1)

    def test_kept(self) -> None:
        """The gap is still there, with its cause, after a kill and a start."""
        for _ in range(6):
            self.second(segments=5)
        self.hangs = False
        for _ in range(3):
            self.second()
        again = self.rig.killed(self.mktemp())
        self.addCleanup(again.close)
        session_id = self.sentinels["desk-1"].session_id
        shown = self.successResultOf(again.store.archive.session("desk-1", session_id))
        causes = [(gap.first, gap.last, gap.cause) for gap in shown.gaps]
        self.assertEqual(causes, [(23, 33, Cause.QUEUE_FULL), (None, None, Cause.SERVER_STOPPED)])
        self.assertEqual(sorted(stored(again, shown.session)), [*range(23), 34, 35])

    def test_why(self) -> None:
        """When the queue has filled because the disk is full, the gap says that, also of
        Sentinels whose own segments were not tried yet."""
        self.hangs = False
        self.add("desk-2")
        self.rig.disk.errors["write"] = errno.ENOSPC
        for _ in range(3):
            self.second(segments=5)
        for name in self.sentinels:
            gap = self.session(name).gaps[-1]
            self.assertEqual((gap.cause, gap.detail), (Cause.DISK_FULL, "No space left on device"))


class StopTests(TroubleCase):
    """The recording ends before the connections do."""

    def test_after_the_stop(self) -> None:
        """A segment, a gap or a session that comes when the store has ended everything ends the
        conversation as a shutdown does, and is no fault."""
        says: tuple[Callable[[FakeSentinelPeer], object], ...] = (
            lambda peer: peer.segment(self.sent),
            lambda peer: peer.say(DeclareGap(peer.session_id, 0, 0, "lost")),
            lambda peer: peer.init("another-session-0000"),
        )
        for say in says:
            self.make()
            self.second()
            self.successResultOf(self.rig.store.stop())
            say(self.sentinels["desk-1"])
            closed = self.sentinels["desk-1"].closed
            assert closed is not None
            self.assertEqual((closed.code, closed.close_code), ("going-away", 1001))
