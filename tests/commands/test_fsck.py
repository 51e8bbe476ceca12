"""`vidlink fsck`: what it says, and how it ends."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

from tests.store.fsck.checked import NOW_US, CheckedCase
from vidlink.commands import main
from vidlink.commands.fsck import Options, Output, check, run
from vidlink.disk import Disk
from vidlink.store.files.folder import take_folder
from vidlink.terminal.progress import Progress


class FsckTests(CheckedCase):
    """The command on a folder of three sessions."""

    def ended(self, *arguments: str) -> int:
        """How the command ends; `said` and `complained` have its lines."""
        out, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", errors)
        status: Any = 0
        try:
            main(["fsck", *arguments])
        except SystemExit as exit:
            status = exit.code
        self.said, self.complained = out.getvalue().splitlines(), errors.getvalue().splitlines()
        assert isinstance(status, int), status
        return status

    def spoil(self) -> None:
        """A bit of the third segment is wrong."""
        self.flip(self.inside("part-0000.mp4"), len(self.session.init) + 300)

    def test_sound(self) -> None:
        """A sound folder is one line, and status 0."""
        self.assertEqual(self.ended(self.path), 0)
        (line,) = self.said
        self.assertTrue(line.startswith("sound: 3 sessions, 4 parts, 26 segments, "), line)
        self.assertEqual(self.complained, [])

    def test_damaged(self) -> None:
        """Each finding is a line that says where it is, the summary the last one; status 1."""
        self.spoil()
        self.assertEqual(self.ended(self.path), 1)
        finding, summary = self.said
        expected = f"segment: desk-1/{self.session.session_id} part 0: segment 2: not what was"
        self.assertIn(expected, finding)
        self.assertTrue(summary.startswith("1 finding of damage, 0 mended: 3 sessions"), summary)

    def test_repair(self) -> None:
        """What a repair has mended is said, with status 1; the next check is sound again."""
        self.spoil()
        self.assertEqual(self.ended(self.path, "--repair"), 1)
        self.assertIn("(stated as a gap)", self.said[0])
        self.assertIn("1 mended", self.said[1])
        self.assertEqual(self.ended(self.path, "--rebuild"), 0)
        self.assertEqual(self.ended(self.path), 0)
        self.assertIn("stated: ", self.said[0])

    def test_json(self) -> None:
        """For programs each line is an object, the last one the summary."""
        self.spoil()
        self.assertEqual(self.ended(self.path, "--json"), 1)
        finding, summary = (json.loads(line) for line in self.said)
        self.assertEqual((finding["finding"], finding["isDamage"]), ("segment", True))
        self.assertEqual((finding["sentinelId"], finding["part"]), ("desk-1", 0))
        self.assertEqual((finding["first"], finding["last"]), (2, 2))
        self.assertEqual(summary["finding"], "summary")
        self.assertEqual((summary["damage"], summary["mended"], summary["notes"]), (1, 0, 0))
        self.assertEqual((summary["sessions"], summary["parts"], summary["segments"]), (3, 4, 26))

    def test_cannot(self) -> None:
        """What cannot be checked is one line that says why, and status 2."""
        held = take_folder(self.path, Disk())
        self.addCleanup(held.release)
        for arguments, word in (
            ((self.path,), "in use"),
            ((self.path, "--repair"), "in use"),
            ((self.mktemp(),), "there is no folder"),
            ((), "say which"),
            ((self.path, "--sweep"), "not recognized"),
            ((self.path, "another"), "Wrong number"),
        ):
            self.assertEqual(self.ended(*arguments), 2, arguments)
            (line,) = self.complained
            self.assertTrue(line.startswith("vidlink fsck: "), line)
            self.assertIn(word, line)
            self.assertEqual(self.said, [])

    def test_not_told(self) -> None:
        """Findings that cannot be printed are not taken for damage, nor for none: status 2, and
        one line that does not blame the data folder."""
        self.spoil()
        read, write = os.pipe()
        os.close(read)
        for target, word in (("/dev/full", "standard output"), (write, "reads")):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            with open(target, "w") as out, self.assertRaises(SystemExit) as ended:
                self.patch(sys, "stdout", out)
                main(["fsck", self.path])
            self.assertEqual(ended.exception.code, 2)
            (line,) = errors.getvalue().splitlines()
            self.assertIn(word, line)
            self.assertNotIn(self.path, line)

    def test_file_that_is_in_the_way(self) -> None:
        """What cannot be read at all is named."""
        os.rename(self.database, f"{self.database}.away")
        os.mkdir(self.database)
        self.assertEqual(self.ended(self.path), 2)
        (line,) = self.complained
        self.assertIn("index.sqlite3: Is a directory", line)

    def test_help(self) -> None:
        """It says what the exit status means."""
        self.assertEqual(self.ended("--help"), 0)
        self.assertIn("1 if there is damage", " ".join(self.said))

    def test_interrupted(self) -> None:
        """Ctrl-C is one line, and leaves the folder free."""
        options = Options()
        options.parseOptions([self.path])
        self.patch(sys, "stderr", io.StringIO())

        def interrupt(*arguments: object) -> None:
            raise KeyboardInterrupt

        self.patch(Output, "came", interrupt)
        self.assertEqual(run(options), 130)
        take_folder(self.path, Disk()).release()

    def test_progress(self) -> None:
        """On a terminal a bar goes to the end; findings stand above it, on a line of their own."""
        self.spoil()
        stream = io.StringIO()
        seconds = iter(range(10_000))
        progress = Progress(stream, lambda: float(next(seconds)), 0, True)
        progress.label = "checked"
        lines: list[str] = []
        options = Options()
        options.parseOptions([self.path])
        output = Output(lines.append, progress, is_json=False)
        self.assertEqual(check(options, output, lambda: NOW_US), 1)
        self.assertIn("checked [", stream.getvalue())
        self.assertEqual(progress.done_bytes, progress.total_bytes)
        self.assertTrue(stream.getvalue().endswith("\r"))

    def test_names(self) -> None:
        """What lies there under a hostile name cannot command the terminal."""
        with open(os.path.join(self.path, "\x1b[2Jx\n"), "w"):
            pass
        self.assertEqual(self.ended(self.path), 0)
        self.assertNotIn("\x1b", "".join(self.said))
        self.assertEqual(len(self.said), 2)
