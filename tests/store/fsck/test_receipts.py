"""Tests of checking receipts and holds against the database and the folders."""

from __future__ import annotations

import os
import shutil
import sqlite3

from tests.store.fsck.checked import CheckedCase
from tests.store.recorded import folder_of
from vidlink.model import Hold, Session
from vidlink.store.fsck.findings import Finding, FindingKind


class ReceiptTests(CheckedCase):
    """Two sessions are deleted; what is said of that agrees, or a check tells."""

    def setUp(self) -> None:
        """Delete them, and keep what there was of the last."""
        super().setUp()
        self.rig = self.start()
        self.delete(self.session)
        self.rig.close()
        self.kept: str = self.mktemp()
        shutil.copytree(self.path, self.kept)
        self.rig = self.start()
        self.delete(self.late)
        self.rig.close()

    def delete(self, session: Session) -> None:
        """Delete a session by hand."""
        ids = session.sentinel_id, session.session_id
        answer = self.rig.store.keeping.delete(*ids, "somebody", rehearse=False)
        self.rig.settle()
        self.successResultOf(answer)

    def put_back(self, *names: str) -> None:
        """These are as they were before the second was deleted."""
        for name in names:
            path = os.path.join(self.path, name)
            kept = os.path.join(self.kept, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
            shutil.copytree(kept, path) if os.path.isdir(kept) else shutil.copy(kept, path)

    def change(self, statement: str) -> None:
        """The database is changed by somebody else."""
        with sqlite3.connect(self.database) as connection:
            connection.execute(statement)
        connection.close()

    @property
    def receipts(self) -> str:
        """Where the receipts are."""
        return os.path.join(self.path, "receipts.jsonl")

    def of(self, found: list[Finding]) -> list[tuple[FindingKind, str | None]]:
        """What was found, and of which session."""
        return [(one.kind, one.session_id) for one in found]

    def test_sound(self) -> None:
        """What was deleted in order leaves nothing to tell."""
        self.assertEqual(self.check(), [])
        self.assertEqual(self.repair(), [])

    def test_killed_with_the_receipt(self) -> None:
        """A kill between the receipt and everything else is no damage, and nothing is missing:
        neither where the folder is still there, nor where only the row is."""
        self.put_back("index.sqlite3", "recordings")
        told = [(FindingKind.UNFINISHED, self.late.session_id)]
        self.assertEqual(self.of(self.check()), told * 2)
        shutil.rmtree(folder_of(self.rig, self.late))
        self.assertEqual(self.of(self.check()), told)
        self.start().close()
        self.assertEqual(self.check(), [])

    def test_folder_without_its_row(self) -> None:
        """The folder of a session that was deleted is not one that the database does not know."""
        self.put_back("recordings")
        self.assertEqual(self.of(self.check()), [(FindingKind.UNFINISHED, self.late.session_id)])
        self.repair()
        self.assertEqual(self.check(), [])

    def test_not_in_the_database(self) -> None:
        """A receipt that the database has lost is told of, and taken in by a repair."""
        self.change("DELETE FROM receipts WHERE number = 1")
        expected = [(FindingKind.RECEIPT, self.session.session_id)]
        self.assertEqual(self.of(self.check()), expected)
        found = self.repair()
        self.assertEqual((self.of(found), bool(found[0].mended)), (expected, True))
        self.assertEqual(self.check(), [])

    def test_in_another_place(self) -> None:
        """So is one that the database looks for in another place."""
        self.change("UPDATE receipts SET place = 1 WHERE number = 1")
        self.assertEqual(self.of(self.check()), [(FindingKind.RECEIPT, self.session.session_id)])
        self.repair()
        self.assertEqual(self.check(), [])

    def test_not_in_the_file(self) -> None:
        """A receipt that only the database knows of is told of, and is not mended."""
        self.put_back("receipts.jsonl")
        for found in (self.check(), self.repair(), self.check()):
            self.assertEqual([(one.kind, one.mended) for one in found], [(FindingKind.RECEIPT, "")])
            self.assertIn(self.late.session_id, found[0].text)

    def test_damaged(self) -> None:
        """A line that cannot be read is told of with its place; a line without an end is cut
        by the next start."""
        self.flip(self.receipts, 2)
        first, second = self.check()
        self.assertEqual((first.kind, second.kind), (FindingKind.RECEIPT, FindingKind.RECEIPT))
        self.assertIn("octet 0", first.text)
        self.flip(self.receipts, 2)
        with open(self.receipts, "ab") as file:
            file.write(b'{"format":1,"num')
        self.assertEqual([one.kind for one in self.check()], [FindingKind.UNFINISHED])
        self.start().close()
        self.assertEqual(self.check(), [])

    def test_without_a_database(self) -> None:
        """What was deleted is known from the file alone."""
        self.put_back("recordings")
        os.remove(self.database)
        self.assertEqual(
            self.of(self.check()),
            [(FindingKind.INDEX, None), (FindingKind.UNFINISHED, self.late.session_id)],
        )


class HoldTests(CheckedCase):
    """A hold is in the folder and in the database, or a check tells."""

    def setUp(self) -> None:
        """Hold one session."""
        super().setUp()
        self.rig = self.start()
        answer = self.rig.store.keeping.hold("desk-1", self.session.session_id, "evidence")
        self.rig.settle()
        self.hold = self.successResultOf(answer)
        self.rig.close()

    def test_differs(self) -> None:
        """A hold that the database does not have, or has of old, is told of by its name, although
        something else is damaged too; a repair goes by the folder."""
        self.assertIsInstance(self.hold, Hold)
        self.assertEqual(self.check(), [])
        for values in ("held_time_us = NULL, hold_reason = NULL", "hold_reason = 'before'"):
            with sqlite3.connect(self.database) as connection:
                connection.execute(f"UPDATE sessions SET {values} WHERE session_id LIKE '%00'")
            connection.close()
            (found,) = self.check()
            self.assertEqual(found.kind, FindingKind.DIFFERS)
            self.assertTrue(found.text.endswith("folder: hold"), found.text)
            self.flip(self.inside("part-0000.mp4"), 1_000)
            self.assertIn(FindingKind.DIFFERS, [one.kind for one in self.check()])
            self.flip(self.inside("part-0000.mp4"), 1_000)
            self.repair()
            self.assertEqual(self.check(), [])
            rig = self.start()
            self.assertEqual(self.shown(rig).hold, self.hold)
            rig.close()
