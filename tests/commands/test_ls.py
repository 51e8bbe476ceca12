"""`vidlink ls`, without its process."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.server.api.histories import BASE, DESK, GATE, HistoryCase
from vidlink.client import History
from vidlink.commands.ls import Options, list_all
from vidlink.errors import NotFound


class ListTests(HistoryCase):
    """What is listed of two Sentinels and two sessions."""

    def start(self, *arguments: str) -> tuple[Deferred[int], list[str]]:
        """Ask with these arguments; the lines."""
        options = Options()
        options.parseOptions(list(arguments))
        history = History(BASE, treq=self.client, clock=Clock())
        lines: list[str] = []
        asking = Deferred.fromCoroutine(list_all(options, history, lines.append))
        for _ in range(20):
            self.client.flush()
        return asking, lines

    def lines(self, *arguments: str) -> list[str]:
        """The lines for these arguments."""
        asking, lines = self.start(*arguments)
        self.assertEqual(self.successResultOf(asking), 0)
        return lines

    def objects(self, *arguments: str) -> list[Any]:
        """The objects for these arguments."""
        return [json.loads(line) for line in self.lines("--json", *arguments)]

    def test_sentinels(self) -> None:
        """Each Sentinel on a line, in columns, by the server's clock."""
        head, desk, gate = self.lines()
        self.assertEqual(desk.split(maxsplit=1)[0], DESK.sentinel_id)
        for word in ("Desk One", "ward", "OFFLINE", "-", "59 min 56 s ago", "off"):
            self.assertIn(word, desk)
        self.assertIn("5", gate[head.index("RATE") :])
        self.assertIn("on", gate[head.index("RECORDING") :])
        for column in ("NAME", "GROUP", "STATE", "RECORDING"):
            place = head.index(column)
            for line in (desk, gate):
                self.assertEqual(line[place - 1], " ")
                self.assertNotEqual(line[place], " ")

    def test_one_sentinel(self) -> None:
        """A sentinel or a group picks the lines."""
        for arguments in (["--sentinel", GATE.sentinel_id], ["--group", "yard"]):
            (row,) = self.objects(*arguments)
            self.assertEqual(row["sentinelId"], GATE.sentinel_id)
        self.assertEqual(self.objects("--group", "nobody"), [])

    def test_sessions(self) -> None:
        """Sessions with times, size and gaps in plain words below."""
        head, row, *gaps = self.lines(GATE.sentinel_id)
        for word in (GATE.session_id, "live", "16", "kB", "4 segments, 0.8 s in 2 gaps"):
            self.assertIn(word, row)
        self.assertIn("MISSING", head)
        self.assertTrue(any("segment 12 is missing" in gap for gap in gaps), gaps)
        self.assertTrue(any("the sentinel lost it (the spool was full)" in gap for gap in gaps))

    def test_which_sessions(self) -> None:
        """By sentinel, by time, by group, and at most so many, newest first."""
        every = [GATE.session_id, DESK.session_id]
        for arguments, wanted in (
            (["--sessions"], every),
            ([DESK.sentinel_id], every[1:]),
            (["--sessions", "--group", "yard"], every[:1]),
            (["--to", "2024-01-01T00:00:01Z"], every[1:]),
            (["--from", "2024-01-01T00:00:30Z"], every[:1]),
            (["--sessions", "--limit", "1"], every[:1]),
            (["--sessions", "--limit", "0"], every),
        ):
            found = [one["sessionId"] for one in self.objects(*arguments)]
            self.assertEqual(found, wanted, arguments)

    def test_json(self) -> None:
        """One object a line, as the HTTP interface has it."""
        self.assertEqual(self.objects(), self.get_json("/api/v1/sentinels")["sentinels"])
        path = f"/api/v1/sentinels/{GATE.sentinel_id}/sessions/{GATE.session_id}"
        self.assertEqual(self.objects(GATE.sentinel_id), [self.get_json(path)])

    def test_unknown(self) -> None:
        """A sentinel that the server does not know is an error."""
        for arguments in (["nobody"], ["--sentinel", "nobody"]):
            asking, _ = self.start(*arguments)
            self.assertIn("nobody", str(self.failureResultOf(asking, NotFound).value))
