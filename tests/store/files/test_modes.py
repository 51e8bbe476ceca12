"""Tests of the modes of all that is in a data folder."""

from __future__ import annotations

import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival


class ModeTests(SynchronousTestCase):
    """Files for the owner to write and the group to read, and for nobody else."""

    def recorded(self, umask: int) -> dict[str, int]:
        """The modes of all files and folders that a recording makes under this umask."""
        self.addCleanup(os.umask, os.umask(umask))
        path = self.path = self.mktemp()
        os.mkdir(path, 0o755)
        rig = Rig(path)
        self.addCleanup(rig.close)
        rig.store.ledger.begin(a_session(), lambda sequence: None)
        rig.store.ledger.append(a_session().session_id, an_arrival(a_session(), 0))
        rig.settle()
        found = {}
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                mode = os.stat(os.path.join(folder, name)).st_mode
                found[os.path.relpath(os.path.join(folder, name), path)] = stat.S_IMODE(mode)
        for name in ("index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"):
            self.assertIn(name, found)
        return found

    def test_open_umask(self) -> None:
        """Whatever the umask would allow, in a folder that others may look into: 0640 and 0750."""
        for umask in (0, 0o022):
            for name, mode in self.recorded(umask).items():
                is_folder = os.path.isdir(os.path.join(self.path, name))
                wanted = 0o750 if is_folder else 0o640
                self.assertEqual(oct(mode), oct(wanted), (umask, name))

    def test_strict_umask(self) -> None:
        """An umask that allows less is obeyed."""
        for name, mode in self.recorded(0o077).items():
            self.assertEqual(mode & 0o077, 0, name)

    def test_older_folders(self) -> None:
        """What an earlier version left open to everybody is closed at the next start."""
        path: str = self.mktemp()
        rig = Rig(path)
        rig.store.ledger.begin(a_session(), lambda sequence: None)
        rig.settle()
        rig.close()
        opened = [os.path.join(path, "index.sqlite3"), os.path.join(path, "recordings", "desk-1")]
        for one in opened:
            os.chmod(one, 0o777)
        rig = Rig(path)
        self.addCleanup(rig.close)
        self.assertEqual([os.stat(one).st_mode & 0o007 for one in opened], [0, 0])
