"""Tests of the places that a load test is on: a folder of its own, and a server elsewhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import Unreachable, UserMistake, VidlinkError
from vidlink.httpjson.objects import CLOSED, OPEN, Me
from vidlink.loadtest import machine
from vidlink.loadtest.elsewhere import check_rights, enrol, left_there
from vidlink.loadtest.plan import Place
from vidlink.loadtest.stage import ServerProcess, make_folder
from vidlink.model import Right, SentinelState

IDS = ["rehearsal-001", "rehearsal-002"]


class FolderTests(SynchronousTestCase):
    """The folder that is written to and removed."""

    def setUp(self) -> None:
        """A place for it."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_in_the_data_folder(self) -> None:
        """It is new, and in the folder that recordings would be in."""
        made = Path(make_folder(str(self.folder), 10.0))
        self.assertEqual(made.parent, self.folder)
        self.assertTrue(made.name.startswith("rehearsal-"))
        self.assertEqual(list(made.iterdir()), [])

    def test_where_it_would_be(self) -> None:
        """Where there is no such folder it is where that would be made, and that is not made."""
        made = Path(make_folder(str(self.folder / "not" / "there"), 10.0))
        self.assertEqual(list(self.folder.iterdir()), [made])

    def test_no_room(self) -> None:
        """What would fill the disk is refused, with figures, and a way out; nothing is made."""
        error = self.assertRaises(UserMistake, make_folder, str(self.folder), 1e18)
        self.assertIn("1000000 TB would be written", str(error))
        self.assertIn("--data", str(error))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_something_is_left(self) -> None:
        """Room is left, a GB or a twentieth of the disk, and the try of the disk needs some."""
        stat = SimpleNamespace(f_frsize=1, f_blocks=40e9, f_bavail=0)
        self.patch(os, "statvfs", lambda path: stat)
        for wanted, free, fits in (
            (5e9, 6e9 + 1, True),
            (5e9, 6e9 - 1, False),
            (1.0, machine.DISK_BYTES + 1e9, True),
            (1.0, machine.DISK_BYTES, False),
        ):
            stat.f_bavail = free
            if fits:
                make_folder(str(self.folder), wanted)
            else:
                self.assertRaises(UserMistake, make_folder, str(self.folder), wanted)


class FakeHistory:
    """A server elsewhere."""

    def __init__(self, *may: Right, access: str = OPEN, live: tuple[str, ...] = ()) -> None:
        self._me = Me(may, access, "", None, 0)
        self._live = live
        self.enrolled: list[tuple[str, str]] = []
        self.given: Callable[[str], str] = lambda asked: asked
        self.error: Exception | None = None

    async def me(self) -> Me:
        """Who asks."""
        if self.error is not None:
            raise self.error
        return self._me

    async def sentinels(self) -> tuple[Any, ...]:
        """Who is there."""
        live = [SimpleNamespace(sentinel_id=one, state=SentinelState.LIVE) for one in self._live]
        gone = SimpleNamespace(sentinel_id=IDS[0], state=SentinelState.OFFLINE)
        return (gone, *live)

    async def enrol(self, sentinel_id: str, machine: str, software: str) -> Any:
        """Give a token."""
        self.enrolled.append((sentinel_id, machine))
        given = self.given(sentinel_id)
        return SimpleNamespace(sentinel_id=given, token=f"token of {given}")


class ElsewhereTests(SynchronousTestCase):
    """A server that runs already."""

    def check(self, history: Any, proctors: int = 1, has_room_token: bool = False) -> str:
        """The mistake of trying it out there; empty if there is none."""
        checking = Deferred.fromCoroutine(check_rights(history, IDS, proctors, has_room_token))
        failure = checking.result if checking.called else None
        if failure is None:
            return ""
        return str(self.failureResultOf(checking, UserMistake).value)

    def test_rights(self) -> None:
        """What is not let in is said before anything is done, with the command that changes it."""
        self.assertEqual(self.check(FakeHistory(Right.WATCH)), "")
        self.assertIn("--role proctor", self.check(FakeHistory(Right.PUBLISH)))
        self.assertEqual(self.check(FakeHistory(Right.PUBLISH), proctors=0), "")
        closed = FakeHistory(Right.WATCH, access=CLOSED)
        self.assertIn("--enrol --group rehearsal --most 2", self.check(closed))
        self.assertEqual(self.check(closed, has_room_token=True), "")

    def test_live_already(self) -> None:
        """Nobody is put out who has such an id; who had one earlier is no matter."""
        other = FakeHistory(Right.WATCH, live=("desk-1", "rehearsal-002"))
        self.assertIn("rehearsal-002 is live", self.check(other))

    def test_enrol(self) -> None:
        """Each screen is a machine of its own, the same one each time, and has its token."""
        history: Any = FakeHistory()
        first = self.successResultOf(Deferred.fromCoroutine(enrol(history, IDS, lambda _: None)))
        self.assertEqual(first, {one: f"token of {one}" for one in IDS})
        self.successResultOf(Deferred.fromCoroutine(enrol(history, IDS, lambda _: None)))
        self.assertEqual(history.enrolled[:2], history.enrolled[2:])
        self.assertEqual(len({machine for _, machine in history.enrolled}), 2)

    def test_enrolled_by_another(self) -> None:
        """An id that another machine has is not taken under another name."""
        history: Any = FakeHistory()
        history.given = lambda asked: f"{asked}_5f3e"
        enrolling = Deferred.fromCoroutine(enrol(history, IDS, lambda _: None))
        error = self.failureResultOf(enrolling, UserMistake).value
        self.assertIn("token forget rehearsal-001", str(error))

    def test_left_there(self) -> None:
        """What is left is named, and what deletes it."""
        place = Place("https://h", ca="my ca.pem", token="secret")
        lines = left_there(IDS, place, "2026-07-01 10:00:00+02:00", False)
        self.assertIn("rehearsal-001 to rehearsal-002", lines[0])
        self.assertIn("seq -f %03.0f 2", lines[1])
        self.assertIn("vidlink delete rehearsal-$n --before '2026-07-01 10", lines[1])
        self.assertTrue(lines[1].endswith("--server https://h --ca 'my ca.pem'; done"), lines[1])
        self.assertNotIn("secret", "".join(lines))
        self.assertEqual(len(lines), 2)
        self.assertIn("token forget", left_there(IDS, place, "", True)[-1])


class OwnServerTests(SynchronousTestCase):
    """A server of one's own."""

    def test_waited_for(self) -> None:
        """It is asked until it answers, or half a minute has passed."""
        clock, history = Clock(), FakeHistory()
        history.error = Unreachable("nobody there")
        one: Any = history
        waiting = Deferred.fromCoroutine(ServerProcess().answers(one, clock))
        clock.pump([0.1] * 10)
        self.assertNoResult(waiting)
        history.error = None
        clock.advance(0.1)
        self.successResultOf(waiting)
        history.error = Unreachable("nobody there")
        waiting = Deferred.fromCoroutine(ServerProcess().answers(one, clock))
        clock.pump([0.1] * 310)
        self.failureResultOf(waiting, Unreachable)

    def test_ended(self) -> None:
        """Of one that has ended the last line of its log says why."""
        server = ServerProcess()
        server.errReceived(b"a line\ntwistd vidlink-server: no room\n")
        server.processEnded(None)
        error = self.assertRaises(VidlinkError, server.check)
        self.assertEqual(str(error), "the server has ended: twistd vidlink-server: no room")
