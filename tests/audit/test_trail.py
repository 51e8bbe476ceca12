"""The audit trail: what was done is there, in order, and nobody can take it away unseen."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from vidlink.audit import files as module
from vidlink.audit.chain import BEGINNING, read_entry, write_entry
from vidlink.audit.files import AuditFiles
from vidlink.audit.trail import (
    AGAIN_SECONDS,
    COUNTED_SECONDS,
    MOST_WAITING,
    REFUSED,
    REFUSED_EACH,
    SAME_SECONDS,
    SERVER,
    TOLD_SECONDS,
    Trail,
)
from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import NOBODY, AuditEntry, AuditQuery, Deed, Principal

ANNA = Principal("anna", "login:1", frozenset())
_TEXT = st.text(max_size=60)
_ENTRIES = st.builds(
    AuditEntry,
    number=st.integers(1, 2**53),
    time_us=st.integers(-(2**53), 2**53),
    deed=st.sampled_from(Deed),
    who=_TEXT,
    credential_id=_TEXT,
    address=_TEXT,
    about=st.dictionaries(_TEXT, _TEXT | st.integers(-(2**53), 2**53), max_size=4),
)


def entry(who: str = "anna", time_us: int = 5, **about: str | int) -> AuditEntry:
    """Something that somebody watched."""
    return AuditEntry(0, time_us, Deed.WATCHED, who, "login:1", "10.0.0.1", about)


class ChainTests(SynchronousTestCase):
    """Entries as lines."""

    @given(_ENTRIES)
    def test_round_trip(self, one: AuditEntry) -> None:
        """An entry is read as it was written, whatever texts are in it, and takes one line."""
        line, written = write_entry(one, BEGINNING)
        self.assertEqual(read_entry(line), (written, BEGINNING))
        self.assertEqual(replace(written, digest=""), one)
        self.assertEqual((line.count(b"\n"), line[-1:]), (1, b"\n"))

    @given(_ENTRIES, st.data())
    def test_changed(self, one: AuditEntry, data: st.DataObject) -> None:
        """Whatever octet of a line is another one, it is no entry any more, or says the same."""
        line, written = write_entry(one, BEGINNING)
        place = data.draw(st.integers(0, len(line) - 2))
        octet = data.draw(st.integers(0, 255).filter(lambda value: value != line[place]))
        try:
            read, before = read_entry(line[:place] + bytes([octet]) + line[place + 1 :])
        except StoreError:
            return
        # An escape may be written in two ways.
        self.assertEqual((read, before), (written, BEGINNING))

    @given(st.binary(max_size=200))
    def test_garbage(self, line: bytes) -> None:
        """What is no entry is said to be none."""
        with self.assertRaises(StoreError):
            read_entry(line)


class FilesTests(SynchronousTestCase):
    """Entries in the data folder."""

    def setUp(self) -> None:
        """Begin a trail of five entries."""
        self.root = self.mktemp()
        self.files = AuditFiles(self.root, Disk())
        self.files.open()
        self.files.append([entry("anna"), entry("emil")])
        self.files.append([entry("anna", sentinel="desk-1"), entry("anna", 9), entry("emil")])

    def path(self, first: int = 1) -> str:
        """The file whose first entry has that number."""
        return os.path.join(self.root, "audit", f"audit-{first:09}.jsonl")

    def lines(self) -> list[bytes]:
        """The lines of the first file."""
        with open(self.path(), "rb") as file:
            return file.readlines()

    def rewrite(self, lines: list[bytes]) -> None:
        """Put `lines` in the place of the first file's."""
        with open(self.path(), "wb") as file:
            file.writelines(lines)

    def assert_seen(self, number: int) -> None:
        """That the trail is not whole is seen, by the first entry that shows it."""
        with self.assertRaises(StoreError) as caught:
            self.files.verify()
        self.assertIn(str(number), str(caught.exception))

    def reopened(self) -> AuditFiles:
        """The same after a restart."""
        files = AuditFiles(self.root, Disk())
        files.open()
        return files

    def test_whole(self) -> None:
        """Entries count from 1 without a hole, also over a restart."""
        self.assertEqual(self.files.verify(), (1, 5))
        self.assertEqual(self.reopened().append([entry()])[0], 6)
        self.assertEqual(self.files.verify(), (1, 6))

    def test_modes(self) -> None:
        """Others than the user and the group of the server do not read it."""
        self.assertEqual(os.stat(self.path()).st_mode & 0o007, 0)
        self.assertEqual(os.stat(os.path.join(self.root, "audit")).st_mode & 0o007, 0)

    def test_removed(self) -> None:
        """An entry that is taken away shows, the first, the last and any between."""
        lines = self.lines()
        for place, seen in ((0, 1), (2, 3), (4, 5)):
            self.rewrite(lines[:place] + lines[place + 1 :])
            self.assert_seen(seen)

    def test_swapped(self) -> None:
        """Entries in another order show."""
        lines = self.lines()
        lines[1:3] = lines[2], lines[1]
        self.rewrite(lines)
        self.assert_seen(2)

    def test_forged(self) -> None:
        """An entry that was written anew with its digest shows at the next, and the last one by
        what is said of it elsewhere."""
        lines = self.lines()
        for place, seen in ((1, 3), (4, 5)):
            one, before = read_entry(lines[place])
            forged, _ = write_entry(replace(one, who="nobody"), before)
            self.rewrite([*lines[:place], forged, *lines[place + 1 :]])
            self.assert_seen(seen)

    def test_end_gone(self) -> None:
        """A trail that has lost its end says so when it goes on, and shows it for ever."""
        self.rewrite(self.lines()[:3])
        files = AuditFiles(self.root, Disk())
        self.assertIn("ends at entry 3, and had 5", files.open())
        files.append([entry()])
        self.assert_seen(4)

    def test_torn(self) -> None:
        """The rest of a line that was being written when the power went is cut."""
        lines = self.lines()
        self.rewrite([*lines, lines[0][:40]])
        self.assertEqual(self.files.verify(), (1, 5))
        self.reopened().append([entry()])
        self.assertEqual(self.files.verify(), (1, 6))

    def test_rotated(self) -> None:
        """A file that is large enough is followed by another; one that is gone shows, unless all
        before it are gone too, as when somebody has put away old ones."""
        self.patch(module, "MOST_BYTES", 1)
        for _ in range(3):
            self.files.append([entry()])
        self.assertEqual([first for first, _ in self.files.names()], [1, 6, 7, 8])
        self.assertEqual(self.files.verify(), (1, 8))
        self.assertEqual(self.files.page(AuditQuery(limit=7)).next, 2)
        os.remove(self.path(1))
        self.assertEqual(self.files.verify(), (6, 8))
        os.remove(self.path(7))
        self.assert_seen(7)

    def test_failed(self) -> None:
        """What could not be written whole does not count, and is in nobody's way."""
        whole = os.path.getsize(self.path())

        class Full(Disk):
            """Takes some of it."""

            def append(self, path: str, data: bytes, *, flush: bool) -> None:
                super().append(path, data[:50], flush=flush)
                raise OSError(28, "No space left on device")

        self.files._disk = Full()
        self.assertRaises(OSError, self.files.append, [entry()])
        self.assertEqual(os.path.getsize(self.path()), whole + 50)
        self.files._disk = Disk()
        self.assertEqual(self.files.append([entry()])[0], 6)
        self.assertEqual(self.files.verify(), (1, 6))

    def test_pages(self) -> None:
        """Pages go from the newest back; each filter holds."""

        def numbers(**query: Any) -> list[int]:
            return [one.number for one in self.files.page(AuditQuery(**query)).entries]

        page = self.files.page(AuditQuery(limit=2))
        self.assertEqual(([one.number for one in page.entries], page.next), ([5, 4], 4))
        rest = self.files.page(AuditQuery(limit=3, after=4))
        self.assertEqual(([one.number for one in rest.entries], rest.next), ([3, 2, 1], None))
        self.assertEqual(numbers(who="emil"), [5, 2])
        self.assertEqual(numbers(sentinel_id="desk-1"), [3])
        self.assertEqual(numbers(deed=Deed.DELETED), [])
        self.assertEqual(numbers(from_time_us=6), [4])
        self.assertEqual(numbers(to_time_us=6), [5, 3, 2, 1])


class TrailTests(SynchronousTestCase):
    """The trail of a running server."""

    def setUp(self) -> None:
        """A trail whose writes are done when the test says so."""
        self.clock = Clock()
        self.files = AuditFiles(self.mktemp(), Disk())
        self.is_full = False
        self.error: Exception = OSError(28, "No space left on device", "/srv/audit-1.jsonl")
        self.waiting: list[Deferred[Any]] = []
        self.holds = False
        self.trail = Trail(
            self.files, seconds=self.clock.seconds, now_us=lambda: 7, run_in_pool=self.run_in_pool
        )

    def run_in_pool(self, work: Any, *arguments: Any) -> Deferred[Any]:
        """Do it, now or later, or fail."""
        if self.is_full:
            return execute(self.fail_now)
        if not self.holds:
            return execute(work, *arguments)
        gate: Deferred[Any] = Deferred()
        self.waiting.append(gate)
        return gate.addCallback(lambda _: work(*arguments))

    def fail_now(self) -> None:
        """As a full disk does."""
        raise self.error

    def deeds(self) -> list[str]:
        """The deeds on the disk, oldest first."""
        entries = self.files.page(AuditQuery(limit=MOST_WAITING)).entries
        return [one.deed.value for one in reversed(entries)]

    def test_noted(self) -> None:
        """A deed is on the disk with whom, from where and what about."""
        self.trail.note(Deed.HELD, ANNA, "10.0.0.1", sentinel="desk-1", reason="x" * 500)
        (one,) = self.successResultOf(self.trail.page(AuditQuery())).entries
        self.assertEqual((one.time_us, one.who, one.address), (7, "anna", "10.0.0.1"))
        self.assertEqual(one.about, {"sentinel": "desk-1", "reason": "x" * 256})

    def test_nobody_waits(self) -> None:
        """While the disk takes its time, what happens is noted all the same, in order."""
        self.holds = True
        for deed in (Deed.LOGGED_IN, Deed.WATCHED, Deed.LOGGED_OUT):
            self.trail.note(deed, ANNA, "")
        self.holds = False
        closed = self.trail.close()
        self.assertNoResult(closed)
        self.waiting.pop().callback(None)
        self.successResultOf(closed)
        self.assertEqual(self.deeds(), ["logged-in", "watched", "logged-out"])

    def test_full_disk(self) -> None:
        """What cannot be written waits, and is written when there is room again."""
        self.is_full = True
        self.trail.note(Deed.HELD, ANNA, "")
        self.trail.note(Deed.RELEASED, ANNA, "")
        told = "the audit trail cannot be written: No space left on device"
        self.assertEqual(self.trail.trouble, told)
        self.is_full = False
        self.trail.tick()
        self.assertEqual(self.deeds(), [])
        self.clock.advance(AGAIN_SECONDS)
        self.trail.tick()
        self.assertEqual(self.deeds(), ["held", "released"])
        self.assertEqual(self.trail.trouble, "")

    def test_fault_of_ours(self) -> None:
        """A fault is told as trouble too, without its text, and does not end the trail."""
        self.is_full, self.error = True, ValueError("in /srv/secret")
        self.trail.note(Deed.HELD, ANNA, "")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.trail.trouble, "the audit trail cannot be written: the log says why")
        self.is_full = False
        self.clock.advance(AGAIN_SECONDS)
        self.trail.tick()
        self.assertEqual((self.deeds(), self.trail.trouble), (["held"], ""))

    def test_bound(self) -> None:
        """So many wait and no more; how many are lost is an entry itself."""
        self.is_full = True
        for _ in range(MOST_WAITING + 3):
            self.trail.note(Deed.HELD, ANNA, "")
        self.is_full = False
        self.clock.advance(AGAIN_SECONDS)
        self.trail.tick()
        page = self.files.page(AuditQuery(limit=1))
        self.assertEqual(page.entries[0].number, MOST_WAITING + 1)
        self.assertEqual((page.entries[0].deed, page.entries[0].about), (Deed.LOST, {"count": 3}))

    def test_one_film(self) -> None:
        """A film that is asked for piece by piece is fetched once, and again after a while."""

        def fetch(session: str) -> None:
            self.trail.note(Deed.FETCHED, ANNA, "", session=session)

        for session in ("one", "one", "other", "one"):
            fetch(session)
        self.clock.advance(SAME_SECONDS)
        fetch("one")
        sessions = [one.about["session"] for one in self.files.page(AuditQuery()).entries]
        self.assertEqual(sessions, ["one", "other", "one"])

    def test_flood_of_refusals(self) -> None:
        """However often strangers are refused, the trail grows slowly, says how often it was, and
        what others do is in it."""
        for number in range(50_000):
            if number == 40_000:
                self.trail.note(Deed.HELD, ANNA, "")
            self.trail.note(Deed.REFUSED, NOBODY, f"10.0.0.{number % 100}", user="anna")
        self.assertEqual(self.deeds().count(Deed.REFUSED.value), REFUSED.burst)
        self.assertIn("held", self.deeds())
        self.clock.advance(COUNTED_SECONDS)
        self.trail.tick()
        newest = self.files.page(AuditQuery(limit=1)).entries[0]
        self.assertEqual(newest.about, {"count": 50_000 - REFUSED.burst})

    def test_refusals_of_one(self) -> None:
        """One address that is refused for ever leaves room for what is refused elsewhere; what was
        counted by the end is told then."""
        for _ in range(REFUSED.burst * 2):
            self.trail.note(Deed.REFUSED, NOBODY, "10.0.0.1", user="anna")
        self.assertEqual(len(self.deeds()), REFUSED_EACH.burst)
        self.trail.note(Deed.REFUSED, NOBODY, "10.0.0.2", user="ben")
        self.successResultOf(self.trail.close())
        count, ben = (one.about for one in self.files.page(AuditQuery(limit=2)).entries)
        self.assertEqual(ben, {"user": "ben"})
        self.assertEqual(count, {"count": REFUSED.burst * 2 - REFUSED_EACH.burst})

    def test_refusals_of_one_network(self) -> None:
        """The addresses of one network of IPv6, of which a single machine has as many as it likes,
        count as one; an IPv4 address written as one of IPv6 is that address."""
        for number in range(REFUSED.burst):
            self.trail.note(Deed.REFUSED, NOBODY, f"2001:db8::{number:x}", user="anna")
        self.assertEqual(len(self.deeds()), REFUSED_EACH.burst)
        for number in range(REFUSED_EACH.burst):
            address = "10.0.0.1" if number % 2 else "::ffff:10.0.0.1"
            self.trail.note(Deed.REFUSED, NOBODY, address, user="ben")
        self.trail.note(Deed.REFUSED, NOBODY, "::ffff:10.0.0.1", user="ben")
        self.assertEqual(len(self.deeds()), 2 * REFUSED_EACH.burst)

    def test_refusals_of_tokens(self) -> None:
        """Wrong tokens, however many, hide no wrong password."""
        for _ in range(REFUSED.burst * 2):
            self.trail.note(Deed.REFUSED, NOBODY, "10.0.0.1", via="token", path="/", why="x")
        self.trail.note(Deed.REFUSED, NOBODY, "10.0.0.1", user="anna")
        (anna,) = self.files.page(AuditQuery(limit=1)).entries
        self.assertEqual(anna.about, {"user": "anna"})

    def test_told(self) -> None:
        """The log is told from time to time where the trail stands."""
        self.trail.note(Deed.STARTED, SERVER, "")
        with capturedLogs() as told:
            self.trail.tick()
            self.clock.advance(TOLD_SECONDS)
            self.trail.tick()
            self.trail.tick()
        with open(self.files.head, encoding="ascii") as file:
            digest = json.load(file)["digest"]
        self.assertEqual([event["digest"] for event in told], [digest])
