"""Tests of `vidlink.server.health.health`: who is told of trouble, how often, when it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.store import MemoryStore
from tests.server.api.test_history import BrokenArchive
from vidlink.errors import RecordingTrouble, StoreError
from vidlink.model import (
    Cause,
    DiskSpace,
    RecordingHealth,
    Trouble,
    Waiting,
    WaitReason,
)
from vidlink.relay.hub import Hub
from vidlink.server.health.health import CALM_SECONDS, LOOK_SECONDS, OK, Health

WELL = RecordingHealth(is_open=True, live=40)
FULL = RecordingHealth(
    is_open=True, live=40, troubled=12, trouble=Trouble(Cause.DISK_FULL, "No space left on device")
)


class Recording(MemoryStore):
    """A recording that does as the test says."""

    now = WELL
    looks: Deferred[DiskSpace] | None = None

    def health(self) -> RecordingHealth:
        """What the test says."""
        return self.now

    def space(self) -> Deferred[DiskSpace]:
        """What the test says, or nothing yet."""
        return super().space() if self.looks is None else self.looks


class HealthCase(SynchronousTestCase):
    """A second at a time."""

    def setUp(self) -> None:
        """All is well."""
        self.clock = Clock()
        self.store = Recording()
        self.hub = Hub(self.clock.seconds)
        self.audit_trouble = ""
        self.health = Health(
            self.store,
            self.store,
            self.hub,
            self.clock.seconds,
            audit_trouble=lambda: self.audit_trouble,
        )
        self.lines: list[tuple[str, str]] = []
        note: Any = self.note
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def note(self, event: Any) -> None:
        """Keep a line of the log."""
        if event["log_level"] in (LogLevel.error, LogLevel.info) and event.get("log_format"):
            text = event["log_format"].format(**event)
            self.lines.append((event["log_level"].name, text))

    def seconds(self, count: int) -> None:
        """So many seconds pass."""
        for _ in range(count):
            self.health.tick()
            self.clock.advance(1.0)

    def wrong(self) -> dict[str, str]:
        """The checks that are not well."""
        return {name: words for name, words in self.health.checks().items() if words != OK}


class CheckTests(HealthCase):
    """What is wrong, in words."""

    def test_well(self) -> None:
        """Where all is well nobody is told anything."""
        self.seconds(200)
        self.assertEqual((self.wrong(), self.lines, self.hub.alarms.count), ({}, [], 0))

    def test_recording(self) -> None:
        """Sessions that do not reach the disk are counted, and the reason is named."""
        self.store.now = FULL
        told = "12 of 40 sessions not recorded: No space left on device"
        self.assertEqual(self.wrong(), {"recording": told})
        self.store.now = WELL
        self.assertEqual(self.wrong(), {})

    def test_queue(self) -> None:
        """From three quarters on the queue is too full."""
        self.store.now = RecordingHealth(is_open=True, load=0.74)
        self.assertEqual(self.wrong(), {})
        self.store.now = RecordingHealth(is_open=True, load=0.75)
        self.assertEqual(self.wrong(), {"queue": "the queue for the disk is 75 % full"})

    def test_audit(self) -> None:
        """An audit trail that cannot be written is told and is an alarm, which leaves recordings
        alone; the log has been told by the trail. When it is written again, nothing is said."""
        told = self.audit_trouble = "the audit trail cannot be written: No space left on device"
        alarms: list[str] = []
        self.patch(self.hub, "warn", lambda error: alarms.append(str(error)))
        self.seconds(2)
        self.assertEqual(self.wrong(), {"audit": told})
        self.assertEqual(self.lines, [])
        self.assertEqual(alarms, [f"everything is recorded, but {told}"] * 2)
        self.audit_trouble = ""
        self.seconds(2)
        self.assertEqual((self.wrong(), len(alarms)), ({}, 2))

    def test_undeleted(self) -> None:
        """That something due is not deleted yet is told, with the reason and for how long, and is
        an alarm; the log has been told by who deletes."""
        waiting = Waiting(WaitReason.CLOCK, "the clock is wrong", 65.0)
        self.store.now = replace(WELL, undeleted=(waiting, replace(waiting, seconds=None)))
        self.seconds(3)
        told = "the clock is wrong; that is done in 1 min 5 s; the clock is wrong"
        self.assertEqual(self.wrong(), {"retention": told})
        self.assertEqual((self.lines, self.hub.alarms.count), ([], 1))

    def test_not_open(self) -> None:
        """Before the store is open, and after, the server is not ready; that is no alarm."""
        self.store.now = RecordingHealth(is_open=False)
        self.seconds(1)
        self.assertEqual(self.wrong(), {"store": "the recordings are not open"})
        self.assertEqual((self.lines, self.hub.alarms.count), ([], 0))

    def test_disk(self) -> None:
        """Little room is too little below 256 MiB, or below 5 % of a small disk."""
        for free, total, is_well in (
            (10**9, 10**13, True),
            (255 * 2**20, 10**13, False),
            (10**6, 16 * 10**6, True),
            (10**6, 40 * 10**6, False),
        ):
            self.store.room = DiskSpace(free, total)
            self.seconds(int(LOOK_SECONDS) + 1)
            self.assertEqual("disk" not in self.wrong(), is_well, (free, total))
        self.assertEqual(self.wrong(), {"disk": "only 1 MB are free on the disk"})

    def test_room_that_is_kept(self) -> None:
        """Where room is made by deleting, that much has to be left, more or less than otherwise;
        a moment in which it is not made yet is no trouble."""
        for wanted, free, is_well in (
            (10**10, 10**10, True),
            (10**10, 10**10 - 1, False),
            (10**6, 10**6, True),
            (10**6, 10**6 - 1, False),
            (0, 0, True),
        ):
            clock = self.clock.seconds
            self.health = Health(self.store, self.store, self.hub, clock, min_free_bytes=wanted)
            self.store.room = DiskSpace(free, 10**13)
            self.seconds(int(LOOK_SECONDS))
            self.assertEqual(self.wrong(), {}, (wanted, free))
            self.seconds(1)
            self.assertEqual("disk" not in self.wrong(), is_well, (wanted, free))
            self.store.room = DiskSpace(wanted, 10**13)
            self.seconds(int(LOOK_SECONDS))
            self.assertEqual(self.wrong(), {}, (wanted, free))

    def test_disk_hangs(self) -> None:
        """A disk that does not answer is known for it soon, and asked no more than once."""
        self.store.looks = Deferred()
        self.seconds(4)
        self.assertEqual(self.wrong(), {})
        self.seconds(4)
        self.assertEqual(self.wrong(), {"disk": "the disk does not answer"})
        looks, self.store.looks = self.store.looks, None
        looks.callback(DiskSpace(10**11, 10**12))
        self.assertEqual(self.wrong(), {})

    def test_room_unknown(self) -> None:
        """Where the room on the disk cannot be found out it is not alarming by itself."""
        self.store.looks = fail(StoreError("no such folder"))
        self.seconds(1)
        self.assertEqual((self.wrong(), self.health.space), ({}, None))

    def test_unreadable(self) -> None:
        """Recordings that cannot be read are told of without a word that is for the log."""
        broken: Any = BrokenArchive(StoreError("/var/lib/index.sqlite3: disk I/O error"))
        self.health._archive = broken
        self.seconds(1)
        self.assertEqual(self.wrong(), {"store": "the recordings cannot be read"})
        self.health._archive = self.store
        self.seconds(int(LOOK_SECONDS) + 1)
        self.assertEqual(self.wrong(), {})

    def test_lag(self) -> None:
        """The longest delay of the event loop is remembered for a minute."""
        self.seconds(3)
        self.clock.advance(0.4)
        self.seconds(3)
        self.assertAlmostEqual(self.health.lag_seconds, 0.4)
        self.seconds(70)
        self.assertAlmostEqual(self.health.lag_seconds, 0.0)


class TellingTests(HealthCase):
    """The log and the alarm."""

    def lose(self, count: int) -> None:
        """So many segments cannot be recorded."""
        self.store.counts.missing[Cause.DISK_FULL] += count

    def test_begins_lasts_ends(self) -> None:
        """One line at the beginning, one a minute with what was lost, and one at the end."""
        self.store.now = FULL
        self.seconds(1)
        ((level, text),) = self.lines
        self.assertEqual(level, "error")
        self.assertIn("12 of 40 sessions not recorded: No space left", text)
        self.lose(7)
        self.seconds(59)
        self.assertEqual(len(self.lines), 1)
        self.seconds(1)
        self.assertIn("7 segments could not be recorded", self.lines[1][1])
        self.lose(2)
        self.store.now = WELL
        self.seconds(int(CALM_SECONDS) + 2)
        level, text = self.lines[2]
        self.assertEqual(level, "info")
        self.assertIn("well again after 60 s", text)
        self.assertIn("2 segments could not be recorded", text)
        self.seconds(200)
        self.assertEqual(len(self.lines), 3)

    def test_no_flood(self) -> None:
        """Trouble that comes and goes every second is told of once a minute all the same."""
        for number in range(600):
            self.store.now = WELL if number % 2 else FULL
            self.seconds(1)
        self.assertLessEqual(len(self.lines), 11)

    def test_alarm(self) -> None:
        """Every proctor hears why at once, and twice a minute as long as it lasts."""
        self.store.now = FULL
        self.seconds(1)
        alarm, _ = self.hub.alarms.after(0)
        assert alarm is not None
        self.assertIsInstance(alarm.error, RecordingTrouble)
        self.assertEqual((alarm.sentinel_id, alarm.error.code), ("", "recording"))
        self.seconds(60)
        self.assertEqual(self.hub.alarms.count, 3)
        self.store.now = WELL
        self.seconds(60)
        self.assertEqual(self.hub.alarms.count, 3)
