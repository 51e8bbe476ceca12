"""Tests of whose the folder is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.sentinel.spool.rig import Rig
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.sentinel.spool.folder import MARKER, take_folder


class FolderTests(SynchronousTestCase):
    """Taking a folder, or being refused."""

    def refused(self, root: str, *words: str) -> None:
        """One line says why, and names the option."""
        mistake = str(self.assertRaises(UserMistake, take_folder, root, "desk-1", Disk()))
        self.assertNotIn("\n", mistake)
        for word in (root, *words):
            self.assertIn(word, mistake)

    def folder(self) -> Path:
        """A new folder."""
        path = Path(os.path.abspath(self.mktemp()))
        path.mkdir()
        return path

    def test_new(self) -> None:
        """A folder that is empty or not there is begun, and marked as ours."""
        for root in (str(self.folder()), os.path.abspath(self.mktemp())):
            take_folder(root, "desk-1", Disk()).release()
            self.assertEqual(json.loads((Path(root) / MARKER).read_text()), {"format": 1})
            folder = take_folder(root, "desk-1", Disk())
            folder.release()
            self.assertEqual(os.stat(folder.path).st_mode & 0o077, 0)

    def test_open_to_others(self) -> None:
        """One that others can look into, or write to, is told of with what closes it."""
        for mode, is_told in ((0o750, False), (0o755, True), (0o1777, True)):
            root = self.folder()
            root.chmod(mode)
            with capturedLogs() as events:
                take_folder(str(root), "desk-1", Disk()).release()
            told = [one for one in map(formatEvent, events) if f"chmod o= {root}" in one]
            self.assertEqual(len(told), int(is_told), oct(mode))

    def test_in_use(self) -> None:
        """A second process for the same id is refused; one for another id is not."""
        root = str(self.folder())
        first = take_folder(root, "desk-1", Disk())
        self.refused(root, "desk-1", f"process {os.getpid()}", "--spool")
        take_folder(root, "desk-2", Disk()).release()
        first.release()
        take_folder(root, "desk-1", Disk()).release()

    def test_any_id(self) -> None:
        """Every id that a sentinel may have has a place, also that of our own files."""
        root = str(self.folder())
        for sentinel_id in (MARKER, "lock", "sentinels", "x" * 64):
            take_folder(root, sentinel_id, Disk()).release()

    def test_foreign(self) -> None:
        """A folder with anything else in it is refused, and not touched."""
        root = self.folder()
        (root / "thesis.doc").write_text("mine")
        self.refused(str(root), "is no spool", "name another")
        self.assertEqual(os.listdir(root), ["thesis.doc"])
        file = root / "thesis.doc"
        self.refused(str(file), "not a folder")
        self.refused(str(file / "spool"), f"{file} is not a folder")
        link = root / "link"
        link.symlink_to("nowhere")
        self.refused(str(link), "not a folder")

    def test_nowhere(self) -> None:
        """Where the folder above is missing a disk may be; nothing is made in its place."""
        root = os.path.abspath(os.path.join(self.mktemp(), "spool"))
        self.refused(root, "mount")
        self.assertFalse(os.path.exists(os.path.dirname(root)))

    def test_format(self) -> None:
        """A format that we do not know, or a marker that is none, is refused."""
        root = self.folder()
        for text, word in (('{"format": 2}', "format 2"), ("{", "cannot be read")):
            (root / MARKER).write_text(text)
            self.refused(str(root), word)

    def test_begun_at_the_same_time(self) -> None:
        """What another process leaves while it begins the folder is not held against us."""
        root = self.folder()
        (root / f"{MARKER}.new").write_text("")
        take_folder(str(root), "desk-1", Disk()).release()

    def test_not_permitted(self) -> None:
        """A folder that cannot be written to is refused with the system's reason."""
        self.refused("/proc/spool", "cannot be used")

    def test_released(self) -> None:
        """A spool that is closed lets another process have its place."""
        root = str(self.folder())
        rig = Rig(root, sentinel_id="desk-1")
        self.refused(root, "in use")
        self.assertIsNone(self.successResultOf(rig.close()))
        take_folder(root, "desk-1", Disk()).release()
