"""One wrong bit, anywhere in the files of a session: it costs what it is in, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.media import init_segment
from tests.faulty_disk import FaultyDisk
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.model import Cause, Gap, SegmentQuery
from vidlink.store.files.layout import RECORD_BYTES
from vidlink.store.fsck.check import Check
from vidlink.store.fsck.findings import Finding, FindingKind

INIT = init_segment()
SESSION = a_session(init=INIT)
#: Those of the first part, then those that came late, to another part; 6 never came.
FIRST, LATE = (0, 1, 2, 5, 7, 8), (3, 4)
#: How far the recording had come when the server was killed, or stopped.
STATES = ("not noted", "noted", "ended")


class FlipCase(SynchronousTestCase):
    """A session in two parts, as a server left it in each of the states."""

    def setUp(self) -> None:
        """Record it."""
        self.folders = {state: self.recorded(state) for state in STATES}

    def recorded(self, state: str) -> str:
        """A data folder with the session in this state."""
        rig = Rig(self.mktemp())
        ledger = rig.store.ledger
        ledger.begin(SESSION, lambda sequence: None)
        rig.settle()
        for sequence in (*FIRST, *LATE):
            ledger.append(SESSION.session_id, an_arrival(SESSION, sequence))
        rig.settle()
        if state != "not noted":
            # The database hears once a second what is synced.
            rig.clock.advance(2)
            ledger.append(SESSION.session_id, an_arrival(SESSION, 9))
            rig.settle()
        if state == "ended":
            ledger.end(SESSION.session_id, "over", EPOCH_US + 2_000_000)
            rig.settle()
        path: str = self.mktemp()
        shutil.copytree(rig.path, path)
        rig.close()
        return path

    def look(self, state: str, name: str, bit: int) -> None:
        """Make one bit wrong, and see what a start, a check and a repair make of it."""
        with tempfile.TemporaryDirectory() as room:
            path = os.path.join(room, "data")
            shutil.copytree(self.folders[state], path)
            file = os.path.join(path, "recordings", "desk-1", SESSION.session_id, name)
            hit = self.hit(file, bit // 8)
            self.flip(file, bit // 8, bit % 8)
            whole = {*FIRST, *LATE, *(() if state == "not noted" else (9,))} - {hit}
            # The last segment of a part may have been on its way: a start cuts it, a check is
            # silent about it.
            may_be_torn = hit in {"not noted": (8, 4), "noted": (9,), "ended": ()}[state]
            found = self.check(path)
            if name != "session.json" and not may_be_torn:
                self.assertTrue(any(one.is_damage for one in found), (state, name, bit))
            self.started(path, whole, hit, is_told=state != "ended")
            self.check(path, is_repairing=True)
            left = [one for one in self.check(path) if one.is_damage]
            # Octets that no record tells of stay until they are asked for.
            kinds = {FindingKind.RECORD, FindingKind.TAIL}
            self.assertEqual([one for one in left if one.kind not in kinds], [])
            self.started(path, whole, hit, is_told=True)

    def flip(self, path: str, place: int, bit: int) -> None:
        """Make one bit of an octet wrong."""
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes((byte ^ 1 << bit,)))

    def hit(self, file: str, place: int) -> int | None:
        """The segment that a place in a file is of; None if it is of none."""
        numbers = (*FIRST, 9) if "part-0000" in file else LATE
        if file.endswith(".idx"):
            return numbers[place // RECORD_BYTES]
        if file.endswith(".mp4"):
            end = len(INIT)
            for number in numbers:
                begin, end = end, end + len(an_arrival(SESSION, number).segment.data)
                if begin <= place < end:
                    return number
        return None

    def started(self, path: str, whole: set[int], hit: int | None, *, is_told: bool) -> None:
        """Start with this folder: all that is whole is given out, and what is not has a name."""
        rig = Rig(path)
        try:
            archive, ids = rig.store.archive, ("desk-1", SESSION.session_id)
            record = self.successResultOf(archive.session(*ids))
            self.assertEqual(record.session.init, INIT)
            page = self.successResultOf(archive.segments(*ids, SegmentQuery(limit=100)))
            self.assertEqual({one.sequence for one in page.segments} - {hit}, whole)
            for number in whole:
                body, _ = self.successResultOf(archive.media(*ids, number, number))
                data = self.successResultOf(body.read(0, body.size_bytes))
                self.assertEqual(data, bytes(an_arrival(SESSION, number).segment.data))
            film, _ = self.successResultOf(archive.film(*ids))
            self.assertGreater(film.size_bytes, len(INIT))
            if is_told and hit is not None and hit not in {one.sequence for one in page.segments}:
                self.assert_named(hit, record.gaps)
        finally:
            rig.close()

    def assert_named(self, hit: int, gaps: tuple[Gap, ...]) -> None:
        """Of what is missing something is said; of what was last, that the server stopped."""
        named = [gap for gap in gaps if gap.first is not None and gap.first <= hit]
        at_end = [gap for gap in gaps if gap.cause is Cause.SERVER_STOPPED]
        self.assertTrue(any((gap.last or 0) >= hit for gap in named) or at_end, gaps)

    def check(self, path: str, *, is_repairing: bool = False) -> list[Finding]:
        """What a check, or a repair, says."""
        found: list[Finding] = []
        check = Check(
            path, FaultyDisk(), put=found.append, expect=lambda n: None, came=lambda n: None
        )
        if is_repairing:
            check.repair(EPOCH_US + 10_000_000, is_rebuilding=False)
        else:
            check.run()
        return found

    def names(self, state: str) -> dict[str, int]:
        """The files of the session, and their sizes."""
        folder = os.path.join(self.folders[state], "recordings", "desk-1", SESSION.session_id)
        return {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}


class FlipTests(FlipCase):
    """Every file, every state."""

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_anywhere(self, data: st.DataObject) -> None:
        """What is not in the damaged place is given out after a start, and after a repair; and what
        is, is named."""
        state = data.draw(st.sampled_from(STATES))
        sizes = self.names(state)
        name = data.draw(st.sampled_from(sorted(sizes)))
        self.look(state, name, data.draw(st.integers(0, 8 * sizes[name] - 1)))

    def database(self, room: str) -> str:
        """A copy of the folder of the session that has ended, with all of the log in the file."""
        path = os.path.join(room, "data")
        shutil.copytree(self.folders["ended"], path)
        Rig(path).close()
        return path

    @settings(max_examples=30, deadline=None)
    @given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
    def test_database(self, place: float, bit: int) -> None:
        """One wrong bit in the database costs nothing."""
        with tempfile.TemporaryDirectory() as room:
            path = self.database(room)
            file = os.path.join(path, "index.sqlite3")
            with open(file, "rb") as opened:
                used = [offset for offset, octet in enumerate(opened.read()) if octet]
            self.flip(file, used[int(place * len(used))], bit)
            self.started(path, {*FIRST, *LATE, 9}, None, is_told=True)

    def test_names_in_the_database(self) -> None:
        """Nor does one in a name of a table or column, or in the id of the Sentinel or session."""
        with tempfile.TemporaryDirectory() as room:
            path = self.database(room)
            with open(os.path.join(path, "index.sqlite3"), "rb") as opened:
                data = opened.read()
            names = (b"desk-1", SESSION.session_id.encode(), b"started_time_us", b"sentinels")
            places = [found.start() for name in names for found in re.finditer(name, data)]
            self.assertGreater(len(places), 20)
            for number, place in enumerate(places):
                spoilt = os.path.join(room, str(number))
                shutil.copytree(path, spoilt)
                self.flip(os.path.join(spoilt, "index.sqlite3"), place + 1, number % 8)
                self.started(spoilt, {*FIRST, *LATE, 9}, None, is_told=True)

    def test_each_record_and_segment(self) -> None:
        """The same for one bit in each record, each segment and each init."""
        for state in STATES:
            for name, size in self.names(state).items():
                step = RECORD_BYTES if name.endswith(".idx") else max(61, size // 8)
                for place in range(5, size, step):
                    self.look(state, name, 8 * place + place % 8)
