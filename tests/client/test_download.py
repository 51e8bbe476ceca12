"""Recordings fetched into files, over interruptions, and checked."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError

from tests.client.recorded import DESK, GATE, LIVE, RecordedCase
from vidlink.client.download import MAX_ATTEMPTS, Downloaded, fetch, verify
from vidlink.client.partfile import PartFile, SessionClip
from vidlink.dialling.backoff import BackOff
from vidlink.errors import Damaged, NotFound, Unreachable, UserMistake
from vidlink.model import ClipQuery, Session


class DownloadTests(RecordedCase):
    """From the first byte to the name that says it is whole."""

    def setUp(self) -> None:
        """A file to be."""
        super().setUp()
        self.path = self.folder / "x.mp4"
        self.retries: list[float] = []

    def part(self, session: Session = DESK, clip: ClipQuery = ClipQuery()) -> PartFile:  # noqa: B008
        """A download, begun or gone on with."""
        part = PartFile(self.path, SessionClip(session.sentinel_id, session.session_id, clip))
        self.addCleanup(part.close)
        return part

    def fetch(self, part: PartFile) -> Any:
        """Fetch what it lacks."""
        return fetch(
            self.history,
            part,
            self.clock,
            on_retry=lambda error, seconds: self.retries.append(seconds),
            back_off=BackOff(lambda: 0.0),
        )

    def names(self) -> list[str]:
        """What is in the folder."""
        return sorted(os.listdir(self.folder))

    def test_whole(self) -> None:
        """The file is the recording byte for byte, and appears only when it is whole."""
        part = self.part()
        self.result_of(self.fetch(part))
        self.assertEqual(self.names(), ["x.mp4.part", "x.mp4.part.json"])
        found: Downloaded = self.result_of(verify(self.history, part))
        part.finish()
        self.assertEqual(self.names(), ["x.mp4"])
        self.assertEqual(self.path.read_bytes(), self.film(DESK))
        self.assertTrue(found.is_whole)
        self.assertEqual((found.first, found.last, found.segment_count), (0, 19, 20))

    def test_broken_connections(self) -> None:
        """After every broken connection it goes on where it was."""
        self.network.breaks = [100, 1_000, 0, 500]
        part = self.part()
        self.result_of(self.fetch(part))
        self.assertEqual(part.part_path.read_bytes(), self.film(DESK))
        ranges = [found for _, found in self.network.asked]
        self.assertEqual(ranges, [None, "bytes=100-", "bytes=1100-", "bytes=1100-", "bytes=1600-"])
        self.assertEqual(len(self.retries), 4)

    def test_another_run(self) -> None:
        """What an earlier run has fetched is not fetched again."""
        self.network.breaks = [700]
        self.network.breaks += [0] * MAX_ATTEMPTS
        part = self.part()
        self.error_of(Unreachable, self.fetch(part))
        part.close()
        self.network.breaks = []
        self.network.asked.clear()
        again = self.part()
        self.assertEqual(again.offset, 700)
        self.result_of(self.fetch(again))
        self.assertEqual(self.network.asked[0][1], "bytes=700-")
        self.assertEqual(again.part_path.read_bytes(), self.film(DESK))

    def test_all_there_already(self) -> None:
        """An earlier run that was ended between the last byte and the check is gone on with."""
        part = self.part()
        self.result_of(self.fetch(part))
        part.close()
        self.network.asked.clear()
        again = self.part()
        self.result_of(self.fetch(again))
        self.assertEqual(self.network.asked, [])
        self.result_of(verify(self.history, again))

    def test_live_session_stays_what_it_was(self) -> None:
        """A live session that has grown since is finished as it was begun."""
        self.network.breaks = [700] + [0] * MAX_ATTEMPTS
        part = self.part(LIVE, ClipQuery(last=11))
        self.error_of(Unreachable, self.fetch(part))
        part.close()
        self.network.breaks = []
        again = self.part(LIVE, ClipQuery(last=19))
        self.result_of(self.fetch(again))
        self.assertEqual(again.part_path.read_bytes(), self.film(LIVE, "?last=11"))
        found = self.result_of(verify(self.history, again))
        self.assertEqual(found.last, 11)

    def test_session_ended_meanwhile(self) -> None:
        """What was begun while the session was live is not gone on with once it is over: the
        file would end where the session was then, and pass for all of it."""
        self.network.breaks = [700] + [0] * MAX_ATTEMPTS
        part = self.part(LIVE, ClipQuery(last=11))
        self.error_of(Unreachable, self.fetch(part))
        part.close()
        self.network.breaks = []
        again = self.part(LIVE)
        self.result_of(self.fetch(again))
        self.assertEqual(again.part_path.read_bytes(), self.film(LIVE))

    def test_another_version(self) -> None:
        """When the server has another version by now, it is fetched from its beginning."""
        self.network.breaks = [700] + [0] * MAX_ATTEMPTS
        part = self.part()
        self.error_of(Unreachable, self.fetch(part))
        part.close()
        note = self.folder / "x.mp4.part.json"
        note.write_text(
            note.read_text().replace(str(json.loads(note.read_text())["etag"])[1:-1], "0")
        )
        self.network.breaks = []
        again = self.part()
        self.assertEqual(again.offset, 700)
        self.result_of(self.fetch(again))
        self.assertEqual(again.part_path.read_bytes(), self.film(DESK))

    def test_something_else_there(self) -> None:
        """What is of another session, or is not noted at all, is not gone on with."""
        part = self.part(GATE)
        self.result_of(self.fetch(part))
        part.close()
        other = self.part()
        self.assertEqual(other.offset, 0)
        other.close()
        for text in ("", "{}", "[1]", '{"wanted": {"clip": 1}}', "\x00"):
            (self.folder / "x.mp4.part.json").write_text(text)
            part = self.part(GATE)
            self.assertEqual(part.offset, 0)
            part.close()

    def test_given_up(self) -> None:
        """A server that is gone is given up after some attempts; what came stays."""
        self.network.is_down = True
        part = self.part()
        self.error_of(Unreachable, self.fetch(part))
        self.assertEqual(len(self.network.asked), MAX_ATTEMPTS)
        self.assertEqual(self.retries, sorted(self.retries))
        self.assertTrue(100 > sum(self.retries) > 30)

    def test_refused(self) -> None:
        """What is not there is not asked for again."""
        wanted = SessionClip(DESK.sentinel_id, "x" * 20, ClipQuery())
        part = PartFile(self.path, wanted)
        self.addCleanup(part.close)
        self.error_of(NotFound, self.fetch(part))
        self.assertEqual(len(self.network.asked), 1)

    def test_cancelled(self) -> None:
        """Cancelled while it waits, it ends, and what came stays."""
        self.network.breaks = [700]
        part = self.part()
        waiting = self.start(self.fetch(part))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(part.part_path.stat().st_size, 700)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gaps(self) -> None:
        """What is missing is said with its cause, and what is of no use without it."""
        part = self.part(GATE)
        self.result_of(self.fetch(part))
        found = self.result_of(verify(self.history, part))
        self.assertFalse(found.is_whole)
        self.assertEqual(
            [(gap.first, gap.last, gap.cause.value) for gap in found.gaps], [(7, 8, "declared")]
        )
        self.assertEqual(found.undecodable, ((9, 9),))

    def test_clip(self) -> None:
        """A range of time begins with its keyframe; of what is missing it says what lies in it."""
        start_us = GATE.started_time_us
        for begin_us, end_us, wanted, gaps in (
            (2_300_000, 3_100_000, (10, 15), []),
            (1_000_000, 1_200_000, (5, 5), []),
            (1_500_000, 2_500_000, (10, 12), [(7, 8)]),
            (1_000_000, 2_500_000, (5, 12), [(7, 8)]),
            (None, 1_700_000, (0, 6), [(7, 8)]),
            (2_300_000, None, (10, 19), []),
        ):
            begin = None if begin_us is None else start_us + begin_us
            end = None if end_us is None else start_us + end_us
            part = self.part(GATE, ClipQuery(begin, end))
            self.result_of(self.fetch(part))
            found = self.result_of(verify(self.history, part))
            self.assertEqual((found.first, found.last), wanted)
            self.assertEqual(
                [(gap.first, gap.last) for gap in found.gaps], gaps, (begin_us, end_us)
            )
            part.forget()
            part.close()

    def test_not_what_it_should_be(self) -> None:
        """A file that is damaged, or has not what the server lists, is found out."""
        part = self.part()
        self.result_of(self.fetch(part))
        whole = part.part_path.read_bytes()
        for wrong in (
            whole[:-1],
            whole[:-50] + b"\x00" * 50,
            b"<html>",
            self.film(DESK, "?last=3"),
        ):
            part.part_path.write_bytes(wrong)
            self.error_of(Damaged, verify(self.history, part))
        part.forget()
        part.close()
        self.assertEqual(self.part().offset, 0)


class PartFileTests(RecordedCase):
    """The folder that it is written to."""

    def part(self, path: Path) -> PartFile:
        """A download."""
        part = PartFile(path, SessionClip(DESK.sentinel_id, DESK.session_id, ClipQuery()))
        self.addCleanup(part.close)
        return part

    def test_not_writable(self) -> None:
        """A folder that is not there is named on one line."""
        mistake = self.assertRaises(UserMistake, self.part, self.folder / "nowhere" / "x.mp4")
        self.assertIn("nowhere", str(mistake))
        self.assertNotIn("\n", str(mistake))

    def test_two_at_once(self) -> None:
        """Two runs do not write the same file."""
        self.part(self.folder / "x.mp4")
        mistake = self.assertRaises(UserMistake, self.part, self.folder / "x.mp4")
        self.assertIn("somebody else", str(mistake))

    def test_finished_by_another(self) -> None:
        """A file that somebody else finishes just when it is opened is left alone."""
        path = self.folder / "x.mp4"

        def finished(descriptor: int, how: int) -> None:
            os.replace(path.with_name("x.mp4.part"), path)

        self.patch(fcntl, "flock", finished)
        mistake = self.assertRaises(UserMistake, self.part, path)
        self.assertIn("somebody else", str(mistake))

    def test_disk_full(self) -> None:
        """A full disk ends the request, is named on one line, and is not tried again."""
        part = self.part(self.folder / "x.mp4")
        os.close(part._descriptor)
        part._descriptor = os.open("/dev/full", os.O_WRONLY)
        part.begin = lambda film: None  # type: ignore[method-assign]
        mistake = self.error_of(UserMistake, fetch(self.history, part, self.clock))
        self.assertIn("No space left", str(mistake))
        self.assertEqual(len(self.network.asked), 1)
