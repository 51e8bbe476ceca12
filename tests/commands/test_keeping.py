"""`vidlink delete`, `hold`, `receipts` and `retention`, without their processes."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from tests.server.api.histories import BASE, DESK, GATE, NOW_US, HistoryCase
from vidlink.client import History
from vidlink.client.requests import ANSWER_SECONDS
from vidlink.commands import delete, hold, ls, receipts, retention
from vidlink.errors import Forbidden, NotFound, StoreError, Unreachable
from vidlink.model import EVERYBODY
from vidlink.options import OneLineOptions


class KeepingCommandTests(HistoryCase):
    """Against the real HTTP interface, in memory."""

    def setUp(self) -> None:
        """A client."""
        super().setUp()
        self.clock = Clock()
        self.asked = False
        self.history = History(BASE, treq=self.client, clock=self.clock)
        self.lines: list[str] = []
        self.questions: list[str] = []
        self.answer = True

    def agrees(self, question: str) -> bool:
        """Whoever is asked."""
        self.questions.append(question)
        return self.answer

    def result(self, call: Coroutine[Any, Any, int]) -> Any:
        """What a command comes to."""
        waiting = Deferred.fromCoroutine(call)
        for _ in range(40):
            self.client.flush()
        return waiting

    def delete(self, *arguments: str) -> Any:
        """`vidlink delete`."""
        options = delete.Options()
        options.parseOptions(list(arguments))
        return self.result(delete.delete_all(options, self.history, self.lines.append, self.agrees))

    def run_(self, module: Any, name: str, *arguments: str) -> list[str]:
        """Another command; its lines."""
        options = module.Options()
        options.parseOptions(list(arguments))
        self.lines.clear()
        done = self.result(getattr(module, name)(options, self.history, self.lines.append))
        self.assertEqual(self.successResultOf(done), 0)
        return self.lines

    def test_delete(self) -> None:
        """A session is deleted after asking, and a line says which receipt tells of it."""
        self.assertEqual(self.successResultOf(self.delete("desk-1", DESK.session_id)), 0)
        self.assertEqual(len(self.questions), 1)
        self.assertIn("1 session, 2.3 kB", self.questions[0])
        self.assertIn(f"receipt 1: deleted {DESK.session_id} of desk-1", self.lines[0])
        self.assertEqual(len(self.get_json("/api/v1/sessions")["sessions"]), 1)

    def test_no(self) -> None:
        """Who says no has nothing deleted; with --yes nobody is asked."""
        self.answer = False
        self.assertEqual(self.successResultOf(self.delete("desk-1", DESK.session_id)), 1)
        self.assertEqual(len(self.get_json("/api/v1/sessions")["sessions"]), 2)
        done = self.delete("desk-1", DESK.session_id, "--yes")
        self.assertEqual((self.successResultOf(done), len(self.questions)), (0, 1))

    def test_dry_run(self) -> None:
        """A rehearsal asks nothing and deletes nothing."""
        done = self.delete("desk-1", DESK.session_id, "--dry-run")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertIn("would delete", self.lines[0])
        self.assertEqual((self.questions, self.store._deleted), ([], set()))

    def test_before(self) -> None:
        """All that ended before a time go, the oldest first; what is held is named and stays, and
        so does what is live."""
        spares = [self.spare() for _ in range(3)]
        self.store.hold(GATE.sentinel_id, spares[1], "why")
        errors = StringIO()
        with redirect_stderr(errors):
            done = self.delete(GATE.sentinel_id, "--before", "2030-01-01", "--yes")
        self.assertEqual(self.successResultOf(done), 1)
        self.assertIn(f"{spares[1]}: the session is held", errors.getvalue())
        self.assertEqual(self.store._deleted, {spares[0], spares[2]})
        done = self.delete(GATE.sentinel_id, "--before", "2000-01-01")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertIn("nothing", self.lines[-1])

    def test_wrong_clock(self) -> None:
        """What ended when the server's clock was wrong is as old as the server says, not as its
        end does."""
        spare = self.spare()
        self.store._kept[spare].age_from_us = NOW_US
        done = self.delete(GATE.sentinel_id, "--before", "2024-01-01T00:30:00Z", "--yes")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual(self.store._deleted, set())
        self.store._kept[spare].age_from_us = None
        self.delete(GATE.sentinel_id, "--before", "2024-01-01T00:30:00Z")
        self.assertEqual(self.store._deleted, {spare})
        self.assertIn("1 session of before 2024-01-01 ", self.questions[0])

    def test_not_answered(self) -> None:
        """When no answer comes, because a session is large, what is said is what is known: it is
        being deleted, it may be yet, or nobody knows; a rehearsal just fails."""
        delete_it, shown = self.store.delete, self.store.session
        for outlook, does_delete, is_lost in (
            ("it is being deleted all the same", True, False),
            ("it is still there, and may be deleted yet", False, False),
            ("whether it is deleted is not known", False, True),
        ):
            session_id = self.spare()

            def slow(*ids: Any, does: bool = does_delete, **options: Any) -> Any:
                if does:
                    delete_it(*ids, **options)
                return Deferred()

            def lost(*ids: Any, is_lost: bool = is_lost) -> Any:
                return fail(StoreError("no")) if is_lost and self.asked else shown(*ids)

            self.store.delete = slow  # type: ignore[method-assign]
            self.store.session = lost  # type: ignore[method-assign,assignment]
            self.asked = False
            errors = StringIO()
            with redirect_stderr(errors):
                waiting = self.delete(GATE.sentinel_id, session_id, "--yes")
                self.assertNoResult(waiting)
                self.asked = True
                self.clock.advance(ANSWER_SECONDS)
                for _ in range(40):
                    self.client.flush()
            self.assertEqual(self.successResultOf(waiting), 1)
            self.assertIn(f"{session_id}: {BASE} has not answered", errors.getvalue())
            self.assertIn(outlook, errors.getvalue())
        self.asked = False
        waiting = self.delete(DESK.sentinel_id, DESK.session_id, "--dry-run")
        self.clock.advance(ANSWER_SECONDS)
        self.failureResultOf(waiting, Unreachable)

    def test_not_allowed(self) -> None:
        """Whose credential does not allow it is told so."""
        self.serve(self.store, EVERYBODY)
        self.history = History(BASE, treq=self.client, clock=Clock())
        mistake = self.failureResultOf(self.delete("desk-1", DESK.session_id, "-y"), Forbidden)
        self.assertRegex(str(mistake.value), "right to delete this; ask whoever runs the server")
        self.failureResultOf(self.delete("desk-1", "x" * 20, "-y"), NotFound)

    def test_mistakes(self) -> None:
        """What is not clear is refused with one line."""
        for options, arguments in (
            (delete.Options(), []),
            (delete.Options(), ["desk-1"]),
            (delete.Options(), ["desk-1", "short"]),
            (delete.Options(), ["desk-1", "--before", "soon"]),
            (delete.Options(), ["desk-1", "x" * 20, "--before", "2026-01-01"]),
            (hold.Options(), ["desk-1"]),
            (hold.Options(), ["desk-1", "x" * 20, "--reason", ""]),
            (receipts.Options(), ["../x"]),
            (retention.Options(), ["--limit", "0"]),
        ):
            self.refused(options, arguments)

    def refused(self, options: OneLineOptions, arguments: list[str]) -> None:
        """One line, and status 1."""
        ended = self.assertRaises(SystemExit, options.parseOptions, arguments)
        self.assertIsInstance(ended.code, str)
        self.assertNotIn("\n", str(ended.code))

    def test_hold(self) -> None:
        """Holding and releasing say so, and `vidlink ls` shows it."""
        ids = "desk-1", DESK.session_id
        (line,) = self.run_(hold, "hold", *ids, "--reason", "an appeal")
        self.assertIn("an appeal", line)
        self.assertIn("    HELD since", self.run_(ls, "list_all", "desk-1")[2])
        (line,) = self.run_(hold, "hold", *ids, "--release")
        self.assertIn("held no more", line)
        self.assertNotIn("HELD", "".join(self.run_(ls, "list_all", "desk-1")))

    def test_receipts(self) -> None:
        """Receipts are listed, of one Sentinel if wanted, and as JSON as the server has them."""
        for _ in range(2):
            self.store.delete(GATE.sentinel_id, self.spare(), "somebody", rehearse=False)
        self.store.delete("desk-1", DESK.session_id, "me", rehearse=False)
        self.assertEqual(len(self.run_(receipts, "list_all")), 4)
        (_, row) = self.run_(receipts, "list_all", "desk-1")
        for word in ("3", "desk-1", DESK.session_id, "asked for", "me"):
            self.assertIn(word, row)
        self.assertEqual(len(self.run_(receipts, "list_all", "--limit", "1")), 2)
        said = self.get_json("/api/v1/receipts")["receipts"]
        self.assertEqual([json.loads(line) for line in self.run_(receipts, "list_all", "-j")], said)

    def test_retention(self) -> None:
        """The policy in words, and what would go in a table."""
        lines = self.run_(retention, "show")
        self.assertIn("kept for 11 d 13 h, up to 4.0 kB, as long as the disk has 100 MB", lines[0])
        self.assertIn("2 sessions", lines[1])
        self.assertEqual(lines[2], "the policy is new; that is done in 8 min 38 s")
        self.assertIn("too much", lines[4])
        said = self.get_json("/api/v1/retention")["due"]
        self.assertEqual([json.loads(line) for line in self.run_(retention, "show", "-j")], said)
