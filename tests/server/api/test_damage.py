"""What history answers over HTTP when what is on disk is not what was recorded."""

from __future__ import annotations

import os

from tests.faulty_disk import FaultyDisk
from tests.server.api.histories import HistoryCase
from tests.store.recorded import folder_of, read_part
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.store.fsck.check import Check


class DamageTests(HistoryCase):
    """A bit of a stored segment has flipped."""

    def setUp(self) -> None:
        """A session of twelve segments; a bit of segment 5 is wrong."""
        super().setUp()
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.session = a_session()
        self.rig.store.ledger.begin(self.session, lambda sequence: None)
        for sequence in range(12):
            self.rig.store.ledger.append(
                self.session.session_id, an_arrival(self.session, sequence)
            )
        self.rig.settle()
        self.rig.store.ledger.end(self.session.session_id, "over", self.session.started_time_us + 1)
        self.rig.settle()
        _, rows = read_part(self.rig, self.session, 0)
        path = os.path.join(folder_of(self.rig, self.session), "part-0000.mp4")
        with open(path, "r+b") as part:
            part.seek(rows[5][1] + 30)
            byte = part.read(1)[0]
            part.seek(rows[5][1] + 30)
            part.write(bytes((byte ^ 4,)))
        self.serve(self.rig.store.archive)
        self.place = f"/api/v1/sentinels/desk-1/sessions/{self.session.session_id}"

    def bytes_of(self, *sequences: int) -> bytes:
        """The bytes of these segments."""
        return b"".join(an_arrival(self.session, number).segment.data for number in sequences)

    def test_that_segment(self) -> None:
        """Whoever asks for it gets an error, and nothing of it."""
        for numbers in ("5", "5-6"):
            self.assert_error(self.ask(f"{self.place}/segments/{numbers}"), 500, "damaged")

    def test_neighbours(self) -> None:
        """Its neighbours are served, byte for byte, and the listing stays as it was."""
        for numbers, sequences in (("4", (4,)), ("6", (6,)), ("6-11", range(6, 12))):
            seen = self.ask(f"{self.place}/segments/{numbers}")
            self.assertEqual((seen.status, seen.body), (200, self.bytes_of(*sequences)))
        self.assertEqual(len(self.get_json(f"{self.place}/segments")["segments"]), 12)

    def test_after_a_repair(self) -> None:
        """Once it is stated, the listing has a gap in its place, and a range goes around it."""
        self.rig.close()
        check = Check(
            self.rig.path,
            FaultyDisk(),
            put=lambda finding: None,
            expect=lambda size: None,
            came=lambda size: None,
        )
        check.repair(EPOCH_US, is_rebuilding=False)
        rig = Rig(self.rig.path)
        self.addCleanup(rig.close)
        self.serve(rig.store.archive)
        (gap,) = self.get_json(self.place)["gaps"]
        self.assertEqual((gap["first"], gap["last"], gap["cause"]), (5, 5, "damaged"))
        self.assertEqual(len(self.get_json(f"{self.place}/segments")["segments"]), 11)
        seen = self.ask(f"{self.place}/segments/4-6")
        self.assertEqual((seen.status, seen.body), (200, self.bytes_of(4, 6)))
        self.assert_error(self.ask(f"{self.place}/segments/5"), 404, "not-found")
