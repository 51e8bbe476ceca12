"""`vidlink export`, without its process: what is fetched, what is said, and the exit status."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

from tests.client.recorded import DESK, GATE, LIVE, RecordedCase
from tests.server.api.histories import arrival_of
from tests.store.samples import EPOCH_US
from vidlink.client.download import MAX_ATTEMPTS
from vidlink.commands.export import FAILED, WHOLE, WITH_GAPS, Export, Options, placing
from vidlink.commands.plan import Wish, plan
from vidlink.errors import NotFound, UserMistake
from vidlink.terminal.progress import Progress

DESK_NAME = "desk-1-20240101T000000Z.mp4"
GATE_NAME = "gate.2-20240101T000100Z.mp4"
LIVE_NAME = "gate.2-20240101T000200Z.mp4"


class ExportTests(RecordedCase):
    """Runs against a server in memory."""

    def setUp(self) -> None:
        """A run that has said nothing yet."""
        super().setUp()
        self.lines: list[str] = []
        self.errors = io.StringIO()

    def run_with(self, *arguments: str) -> Any:
        """The exit status of a run."""
        options = Options()
        options.parseOptions(["-o", str(self.folder), *arguments])

        async def export() -> int:
            jobs = await plan(self.history, options.wish())
            is_forced = bool(options["force"])
            progress = Progress(self.errors, self.clock.seconds, 1, False)
            run = Export(self.history, self.clock, progress, self.lines.append, is_forced)
            return await run.run(jobs, placing(options["output"], jobs, is_forced))

        return export()

    def names(self) -> list[str]:
        """What is in the folder."""
        return sorted(os.listdir(self.folder))

    def test_one_session(self) -> None:
        """A session becomes a file named by sentinel and start; status 0 when it is whole."""
        status = self.result_of(self.run_with(DESK.sentinel_id, DESK.session_id))
        self.assertEqual(status, WHOLE)
        self.assertEqual(self.names(), [DESK_NAME])
        self.assertEqual((self.folder / DESK_NAME).read_bytes(), self.film(DESK))
        self.assertIn("whole", self.lines[0])

    def test_gaps(self) -> None:
        """What is missing is said with its cause, on standard error and beside the file; the
        status tells."""
        status = self.result_of(self.run_with(GATE.sentinel_id, GATE.session_id))
        self.assertEqual(status, WITH_GAPS)
        self.assertEqual(self.names(), [GATE_NAME, GATE_NAME + ".gaps.json"])
        told = json.loads((self.folder / self.names()[1]).read_text())
        self.assertEqual((told["first"], told["last"], told["undecodable"]), (0, 19, [[9, 9]]))
        self.assertEqual((told["gaps"][0]["first"], told["gaps"][0]["last"]), (7, 8))
        self.assertIn("1 gap, 1 segment that cannot be decoded", self.lines[0])
        self.assertIn("the sentinel lost it (the spool was full)", self.errors.getvalue())
        # It has them still when it is not fetched again.
        status = self.result_of(self.run_with(GATE.sentinel_id, GATE.session_id))
        self.assertEqual(status, WITH_GAPS)
        self.assertIn("is there already, with gaps", self.lines[-1])

    def test_all_of_a_sentinel(self) -> None:
        """Every session of a sentinel becomes a file of its own; a live one is what it was."""
        self.assertEqual(self.result_of(self.run_with("gate.2")), WITH_GAPS)
        self.assertEqual(self.names(), [GATE_NAME, GATE_NAME + ".gaps.json", LIVE_NAME])
        self.assertIn("last=19", [url for url, _ in self.network.asked if "recording" in url][1])

    def test_group(self) -> None:
        """A group is all its sentinels' sessions; one that fails does not stop the others, is
        named at the end, and is fetched by the next run alone."""
        self.network.breaks = [0] * MAX_ATTEMPTS
        self.assertEqual(self.result_of(self.run_with("--group", "yard")), FAILED)
        self.assertIn(LIVE_NAME, self.names())
        self.assertNotIn(GATE_NAME, self.names())
        self.assertIn("1 of 2 recordings could not be had", self.errors.getvalue())
        self.assertIn(GATE_NAME, self.errors.getvalue().splitlines()[-1])
        self.network.breaks = []
        self.network.asked.clear()
        self.assertEqual(self.result_of(self.run_with("--group", "yard")), WITH_GAPS)
        fetched = [url for url, _ in self.network.asked if "recording" in url]
        self.assertEqual(len(fetched), 1)
        self.assertIn("is there already", self.lines[-1])

    def test_interrupted(self) -> None:
        """Cancelled, it says how to go on; run again, it goes on."""
        self.network.breaks = [900]
        waiting = self.start(self.run_with("desk-1"))
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertIn("run the same command again", self.errors.getvalue())
        self.assertEqual(self.names(), [DESK_NAME + ".part", DESK_NAME + ".part.json"])
        self.network.asked.clear()
        self.assertEqual(self.result_of(self.run_with("desk-1")), WHOLE)
        self.assertEqual(self.network.asked[-5][1], None)
        self.assertIn("bytes=900-", [found for _, found in self.network.asked])
        self.assertEqual((self.folder / DESK_NAME).read_bytes(), self.film(DESK))

    def test_never_overwrites(self) -> None:
        """A file that is there stays as it is, unless it is forced."""
        path = self.folder / DESK_NAME
        path.write_bytes(b"mine")
        self.assertEqual(self.result_of(self.run_with("desk-1")), FAILED)
        self.assertEqual(path.read_bytes(), b"mine")
        named = self.folder / "named.mp4"
        named.write_bytes(b"mine")
        self.error_of(UserMistake, self.run_with("desk-1", "-o", str(named)))
        self.assertEqual(named.read_bytes(), b"mine")
        self.assertEqual(self.result_of(self.run_with("desk-1", "-o", str(named), "-f")), WHOLE)
        self.assertEqual(named.read_bytes(), self.film(DESK))

    def test_went_on(self) -> None:
        """A file of a session that has gone on since is not taken for all of it."""
        call = ("gate.2", LIVE.session_id)
        self.assertEqual(self.result_of(self.run_with(*call)), WHOLE)
        self.assertEqual(self.result_of(self.run_with(*call)), WHOLE)
        self.assertTrue(self.lines[-1].endswith("is there already (--force fetches it again)"))
        self.store.append(LIVE.session_id, arrival_of(LIVE, 20))
        self.assertEqual(self.result_of(self.run_with(*call)), FAILED)
        self.assertIn("another length", self.lines[-1])
        self.assertEqual(self.result_of(self.run_with(*call, "--force")), WHOLE)
        self.assertEqual((self.folder / LIVE_NAME).read_bytes(), self.film(LIVE))

    def test_damaged(self) -> None:
        """What does not pass the check is no finished file, and the next run begins anew."""
        real = self.network.request

        def garbled(method: str, url: str, **wishes: Any) -> Any:
            if "/segments" in url:
                url = url.replace(GATE.session_id, LIVE.session_id)
            return real(method, url, **wishes)

        self.network.request = garbled  # type: ignore[method-assign]
        self.assertEqual(self.result_of(self.run_with("gate.2", GATE.session_id)), FAILED)
        self.assertIn("lacks segments that the server lists: 7-9", self.errors.getvalue())
        self.assertEqual(self.names(), [GATE_NAME + ".part"])
        self.assertNotIn("go on from there", self.errors.getvalue())

    def test_nothing_in_that_time(self) -> None:
        """A range in which nothing can be shown is told on one line with the gap that it lies in,
        and leaves nothing behind."""
        hole = [str(EPOCH_US + 60_000_000 + number * 200_000) for number in (7, 9)]
        self.assertEqual(
            self.result_of(self.run_with("gate.2", "--from", hole[0], "--to", hole[1])), FAILED
        )
        (line,) = self.errors.getvalue().splitlines()
        self.assertIn("segments 7 to 8 are missing", line)
        self.assertIn("the sentinel lost it (the spool was full)", line)
        self.assertEqual(self.names(), [])

    def test_nothing_came(self) -> None:
        """Interrupted before the first octet, or never begun, it leaves nothing behind."""
        self.network.breaks = [0]
        waiting = self.start(self.run_with("desk-1"))
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(self.names(), [])
        self.network.breaks = [0] * MAX_ATTEMPTS
        self.assertEqual(self.result_of(self.run_with("desk-1")), FAILED)
        self.assertEqual(self.names(), [])

    def test_gaps_that_cannot_be_told(self) -> None:
        """A file whose gaps cannot be written beside it does not get its name: the next run
        would take it for whole."""
        (self.folder / (GATE_NAME + ".gaps.json")).mkdir()
        self.error_of(UserMistake, self.run_with("gate.2", GATE.session_id))
        self.assertNotIn(GATE_NAME, self.names())

    def test_nothing_there(self) -> None:
        """Nothing recorded is an error that repeats what was asked for."""
        for arguments in (["nobody"], ["--group", "nobody"], ["desk-1", "--to", "2000-01-01"]):
            error = self.error_of(NotFound, self.run_with(*arguments))
            self.assertIn(arguments[-1] if arguments[0] != "desk-1" else "desk-1", str(error))
        self.error_of(NotFound, self.run_with("desk-1", "x" * 20))


class PlanTests(RecordedCase):
    """What a range of time takes."""

    def clips(self, from_us: int | None, to_us: int | None) -> list[tuple[Any, ...]]:
        """The jobs for all sentinels of a group."""
        wish = Wish(None, None, "yard", from_us, to_us)
        jobs = self.result_of(plan(self.history, wish))
        return [
            (job.name, job.wanted.clip.start_time_us, job.wanted.clip.end_time_us) for job in jobs
        ]

    def test_ranges(self) -> None:
        """A session that lies within the range is taken whole, of others what lies in it."""
        start = EPOCH_US + 60_000_000
        whole = [(GATE_NAME, None, None), (LIVE_NAME, None, None)]
        self.assertEqual(self.clips(None, None), whole)
        self.assertEqual(self.clips(start - 1, None), whole)
        self.assertEqual(
            self.clips(start + 2_000_000, start + 3_000_000),
            [
                (
                    "gate.2-20240101T000102Z-20240101T000103Z.mp4",
                    start + 2_000_000,
                    start + 3_000_000,
                )
            ],
        )
        self.assertEqual(
            self.clips(start + 2_000_000, None),
            [("gate.2-20240101T000102Z.mp4", start + 2_000_000, None), whole[1]],
        )

    def test_names(self) -> None:
        """Sessions of one sentinel that begin in the same second have different names."""
        from tests.server.api.histories import recorded
        from tests.store.samples import renamed

        twin = renamed(DESK, session_id="session-of-the-same-second")
        recorded(self.store, twin)
        jobs = self.result_of(plan(self.history, Wish("desk-1", None, None, None, None)))
        self.assertEqual(len({job.name for job in jobs}), 2)
        self.assertTrue(any(twin.session_id in job.name for job in jobs))


class PlacingTests(RecordedCase):
    """Where files go."""

    def test_folders(self) -> None:
        """A name with an ending is a file if there is one recording; anything else a folder."""
        jobs = self.result_of(plan(self.history, Wish("gate.2", None, None, None, None)))
        one = jobs[:1]
        for output, wanted, path in (
            ("new", one, f"new/{GATE_NAME}"),
            ("new/x.mp4", one, "new/x.mp4"),
            ("a/b", jobs, f"a/b/{GATE_NAME}"),
            ("c.d", jobs, f"c.d/{GATE_NAME}"),
            ("c.d", one, f"c.d/{GATE_NAME}"),
        ):
            place = placing(str(self.folder / output), wanted, False)
            self.assertEqual(place(jobs[0]), self.folder / path)
            self.assertTrue(place(jobs[0]).parent.is_dir())

    def test_impossible(self) -> None:
        """A folder that cannot be made is named; and so is a film for more than one recording."""
        Path(self.folder / "file").write_text("")
        jobs = self.result_of(plan(self.history, Wish("gate.2", None, None, None, None)))
        film = str(self.folder / "x.mp4")
        mistake = self.assertRaises(UserMistake, placing, film, jobs, False)
        self.assertEqual(str(mistake), f"{film} is one file for 2 recordings; name a folder")
        self.assertFalse(os.path.exists(film))
        mistake = self.assertRaises(
            UserMistake, placing, str(self.folder / "file" / "x"), jobs, False
        )
        self.assertIn("file/x", str(mistake))


class ProgressTests(RecordedCase):
    """What is shown meanwhile."""

    def test_terminal(self) -> None:
        """On a terminal one line is drawn again and again, and gives way to what stays."""
        out = io.StringIO()
        progress = Progress(out, self.clock.seconds, 1_000_000, True)
        progress.label = "x.mp4"
        for _ in range(4):
            self.clock.advance(1)
            progress.came(125_000)
        self.assertNotIn("\n", out.getvalue())
        last = out.getvalue().rpartition("\r")[2]
        self.assertIn("50 % of 1.0 MB, 125 kB/s, 4 s left", last)
        progress.say("something")
        self.assertTrue(out.getvalue().endswith("\rsomething\n"))

    def test_elsewhere(self) -> None:
        """Elsewhere there is a line now and then."""
        out = io.StringIO()
        progress = Progress(out, self.clock.seconds, 1_000_000, False)
        for _ in range(40):
            self.clock.advance(1)
            progress.came(25_000)
        self.assertEqual(out.getvalue().count("\n"), 4)
        self.assertNotIn("\r", out.getvalue())
