"""Tests of taking the data folder."""

from __future__ import annotations

import json
import os

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.rig import Rig, at_once
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.store import RecordingStore
from vidlink.store.files.folder import inspect_folder, take_folder

MARKER = "vidlink-data.json"


class FolderTests(SynchronousTestCase):
    """Which folders are taken, and what is said of the others."""

    def assert_refused(self, path: str, *words: str) -> None:
        """`path` is refused in one line that has these words, and nothing is written."""
        before = sorted(os.listdir(path)) if os.path.isdir(path) else None
        mistake = self.assertRaises(UserMistake, take_folder, path, Disk())
        for word in (*words, os.path.abspath(path)):
            self.assertIn(word, str(mistake))
        self.assertNotIn("\n", str(mistake))
        after = sorted(os.listdir(path)) if os.path.isdir(path) else None
        self.assertEqual(after, before)

    def folder(self, *names: str) -> str:
        """A folder with these empty files."""
        path: str = self.mktemp()
        os.mkdir(path)
        for name in names:
            with open(os.path.join(path, name), "wb"):
                pass
        return path

    def test_new_folder(self) -> None:
        """A folder that is not there, or is empty, is begun; then it keeps its id."""
        for path in (self.mktemp(), self.folder(), self.folder("lost+found")):
            first = take_folder(path, Disk())
            first.release()
            second = take_folder(path, Disk())
            second.release()
            self.assertEqual(first.uuid, second.uuid)
            with open(os.path.join(path, MARKER)) as marker:
                self.assertEqual(json.load(marker), {"format": 1, "uuid": first.uuid})

    def test_open_to_others(self) -> None:
        """One that others can look into, or write to, is told of with what closes it; one that the
        group can look into is not."""
        for mode, is_told in ((0o700, False), (0o750, False), (0o751, True), (0o757, True)):
            path = os.path.abspath(self.folder())
            os.chmod(path, mode)
            with capturedLogs() as events:
                take_folder(path, Disk()).release()
            lines = [formatEvent(event) for event in events]
            told = [line for line in lines if f"chmod o= {path}" in line]
            self.assertEqual(len(told), int(is_told), (oct(mode), lines))

    def test_hardly_begun(self) -> None:
        """Where the first start was killed or found no room before the marker was written, the
        next one begins the folder; recordings without a marker are somebody else's."""
        path = self.mktemp()
        disk = FaultyDisk()
        disk.errors["replace"] = 28
        self.assertRaises(UserMistake, take_folder, path, disk)
        with open(os.path.join(path, f"{MARKER}.new"), "wb"):
            pass
        take_folder(path, Disk()).release()
        other = self.folder()
        os.makedirs(os.path.join(other, "recordings", "desk-1"))
        self.assert_refused(other, MARKER, "not empty")

    def test_recordings_are_gone(self) -> None:
        """Where the recordings lay somewhere else that is not there now, nothing is recorded
        beside them; and an operator may begin again."""
        path = self.mktemp()
        first = take_folder(path, Disk())
        first.release()
        recordings = os.path.join(path, "recordings")
        os.rmdir(recordings)
        self.assert_refused(path, "recordings is gone", "mount")
        self.assertRaises(UserMistake, inspect_folder, path, Disk())
        os.symlink("/nowhere", recordings)
        self.assert_refused(path, "recordings is gone", "mount")
        os.remove(recordings)
        os.mkdir(recordings)
        second = take_folder(path, Disk())
        second.release()
        self.assertEqual(first.uuid, second.uuid)

    def test_missing_parent(self) -> None:
        """Where not even the parent is there, a disk may not be mounted: nothing is made."""
        path = os.path.join(self.mktemp(), "data")
        self.assert_refused(path, "does not exist")
        self.assertFalse(os.path.exists(os.path.dirname(path)))

    def test_foreign_folder(self) -> None:
        """A folder with something else in it is left alone."""
        self.assert_refused(self.folder("thesis.odt"), MARKER, "not empty")

    def test_no_folder(self) -> None:
        """A file is no folder."""
        path = os.path.join(self.folder("file"), "file")
        self.assert_refused(path, "not a folder")

    def test_cannot_write(self) -> None:
        """Where nothing may be written the reason is told; ``/proc`` takes no folders."""
        self.assert_refused("/proc/vidlink-data", "cannot be used", "write")
        disk = FaultyDisk()
        disk.errors["replace"] = 30
        mistake = self.assertRaises(UserMistake, take_folder, self.mktemp(), disk)
        self.assertIn("Read-only file system", str(mistake))

    def test_in_use(self) -> None:
        """A second server is told which process has the folder, and the first goes on."""
        path = self.mktemp()
        folder = take_folder(path, Disk())
        self.assert_refused(path, "in use", str(os.getpid()))
        folder.release()
        take_folder(path, Disk()).release()

    def test_other_format(self) -> None:
        """A folder of another version is not touched."""
        path = self.folder(MARKER)
        for text, word in (
            ('{"format": 2, "uuid": "7f9c24e8-3b12-4fef-91e0-0ea2b5e1e1c5"}', "format 2"),
            ("{}", "cannot be read"),
            ("", "cannot be read"),
            ('{"format": 1, "uuid": "x"}', "cannot be read"),
            ("[1]", "cannot be read"),
        ):
            with open(os.path.join(path, MARKER), "w") as marker:
                marker.write(text)
            mistake = self.assertRaises(UserMistake, take_folder, path, Disk())
            self.assertIn(word, str(mistake))

    def test_failed_start_lets_go(self) -> None:
        """A start that fails leaves the folder free for the next one."""
        path = self.mktemp()
        self.assertRaises(UserMistake, Rig, path, durability="rock")
        Rig(path).close()

    def test_stop_without_a_start(self) -> None:
        """A store that could not be opened can be stopped all the same."""
        store = RecordingStore(
            os.path.join(self.mktemp(), "data"),
            monotonic=lambda: 0.0,
            wall_clock_us=lambda: 0,
            call_in_reactor=at_once,
            run_in_pool=at_once,
        )
        self.assertRaises(UserMistake, store.open)
        self.successResultOf(store.stop())

    def test_store_holds_it(self) -> None:
        """The store has its folder for itself from its opening until it has stopped."""
        rig = Rig(self.mktemp())
        self.assert_refused(rig.path, "in use")
        rig.close()
        take_folder(rig.path, Disk()).release()
