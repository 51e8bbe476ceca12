"""A data folder of sessions that are whole, to be damaged, and what a check says of it."""

from __future__ import annotations

import hashlib
import os
import shutil

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.media import init_segment
from tests.faulty_disk import FaultyDisk
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, TIMESCALE, a_session, an_arrival
from vidlink.fmp4 import read_init
from vidlink.model import Cause, Gap, SegmentQuery, Session, SessionQuery, SessionRecord
from vidlink.store.fsck.check import Check
from vidlink.store.fsck.findings import Finding, FindingKind

NOW_US = EPOCH_US + 1_000_000_000
INIT = init_segment()


class CheckedCase(SynchronousTestCase):
    """Three sessions that are over, on two desks; the store is stopped, and may be damaged."""

    def setUp(self) -> None:
        """Record them. One has a hole with a reason, and a second part for what came late."""
        media = read_init(INIT)
        assert (media.timescale, media.track_id) == (TIMESCALE, 1), "of the samples"
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.path = self.rig.path
        self.session = a_session(0, init=INIT)
        self.late = a_session(1, init=INIT)
        self.other = a_session(2, sentinel_id="desk-2", init=INIT)
        self.rig.store.ledger.begin(self.late, lambda sequence: None)
        self.rig.store.ledger.gap(self.late.session_id, Gap(9, 9, Cause.DECLARED, detail="spool"))
        for session, sequences in (
            (self.session, range(12)),
            (self.late, (0, 1, 2, 6, 7, 8, 10, 3, 4)),
            (self.other, range(5)),
        ):
            self.record(session, *sequences)
        self.rig.close()

    def record(self, session: Session, *sequences: int) -> None:
        """Record a session from its beginning to its end."""
        store = self.rig.store
        if store.ledger.recording(session.session_id).value == "none":
            store.ledger.begin(session, lambda sequence: None)
        for sequence in sequences:
            store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.rig.settle()
        store.ledger.end(session.session_id, "over", session.started_time_us + 5_000_000)
        self.rig.settle()

    # The folder

    def inside(self, name: str, session: Session | None = None) -> str:
        """A file of a session."""
        return os.path.join(folder_of(self.rig, session or self.session), name)

    @property
    def database(self) -> str:
        """Where the database is."""
        return os.path.join(self.path, "index.sqlite3")

    def flip(self, path: str, place: int) -> None:
        """Make one bit wrong."""
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes((byte ^ 1,)))

    def contents(self, *, besides: tuple[str, ...] = ()) -> dict[str, str]:
        """Every file of the data folder, by its digest."""
        found = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
                if name not in besides:
                    found[os.path.relpath(path, self.path)] = digest
        return found

    # The check

    def check(self) -> list[Finding]:
        """What a check finds; it changes nothing."""
        before = self.contents()
        found: list[Finding] = []
        self.work = Check(
            self.path,
            FaultyDisk(),
            put=found.append,
            expect=lambda size: None,
            came=lambda size: None,
        )
        self.work.run()
        self.assertEqual(self.contents(), before)
        return found

    def repair(self, *, is_rebuilding: bool = False, now_us: int = NOW_US) -> list[Finding]:
        """What a repair finds."""
        found: list[Finding] = []
        self.work = Check(
            self.path,
            FaultyDisk(),
            put=found.append,
            expect=lambda size: None,
            came=lambda size: None,
        )
        self.work.repair(now_us, is_rebuilding=is_rebuilding)
        return found

    def assert_sound(self) -> None:
        """A check finds no damage, and neither does a repair, which changes nothing."""
        self.assertEqual([one for one in self.check() if one.is_damage], [])
        self.assertEqual([one for one in self.repair() if one.is_damage], [])

    def assert_found(self, *kinds: FindingKind) -> None:
        """A check finds damage of these kinds, each once, and no other."""
        found = [one.kind for one in self.check() if one.is_damage]
        self.assertEqual(found, list(kinds))

    # History

    def start(self) -> Rig:
        """The next start."""
        rig = Rig(self.path)
        self.addCleanup(rig.close)
        return rig

    def killed(self) -> Rig:
        """The next start, with a copy of the folder."""
        copy: str = self.mktemp()
        shutil.copytree(self.path, copy)
        rig = Rig(copy)
        self.addCleanup(rig.close)
        return rig

    def listed(self, rig: Rig, session: Session | None = None) -> list[int]:
        """The sequences that history lists of a session."""
        session = session or self.session
        query = SegmentQuery(limit=1_000)
        page = self.successResultOf(
            rig.store.archive.segments(session.sentinel_id, session.session_id, query)
        )
        return [segment.sequence for segment in page.segments]

    def shown(self, rig: Rig, session: Session | None = None) -> SessionRecord:
        """A session as history shows it."""
        session = session or self.session
        found = rig.store.archive.session(session.sentinel_id, session.session_id)
        record: SessionRecord = self.successResultOf(found)
        return record

    def gaps(self, rig: Rig, session: Session | None = None) -> list[tuple[object, ...]]:
        """The gaps that history shows."""
        return [(gap.first, gap.last, gap.cause) for gap in self.shown(rig, session).gaps]

    def everything(self) -> list[object]:
        """All that history tells of all sessions at the next start."""
        rig = self.killed()
        page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
        found: list[object] = [self.successResultOf(rig.store.archive.sentinels())]
        for record in page.sessions:
            session = record.session
            found.append((self.shown(rig, session), self.listed(rig, session)))
        rig.close()
        return found
