"""Deleting and holding over HTTP: who may, what comes of it, and what is left."""

from __future__ import annotations

import json
from typing import Any

from tests.server.api.histories import DESK, DESK_PATH, GATE_PATH, NOW_US, POLICY, HistoryCase, Seen
from tests.store.samples import a_session
from vidlink.model import EVERYBODY

JSON = {"Content-Type": "application/json"}


class KeepingTests(HistoryCase):
    """By whoever may, unless said."""

    def delete(self, path: str = DESK_PATH) -> Seen:
        """Delete a session."""
        return self.ask(path, method="DELETE")

    def hold(self, value: Any, path: str = DESK_PATH) -> Seen:
        """Hold a session."""
        return self.ask(path + "/hold", JSON, "PUT", json.dumps(value).encode())

    def test_not_allowed(self) -> None:
        """Who does not have the right deletes and holds nothing, and knows that beforehand; looking
        is another right."""
        self.serve(self.store, EVERYBODY)
        me = self.get_json("/api/v1/me")
        self.assertEqual(me["may"], ["publish", "watch", "control", "audit"])
        for seen in (
            self.delete(),
            self.delete(DESK_PATH + "?dry-run=true"),
            self.hold({"reason": "why"}),
            self.delete(DESK_PATH + "/hold"),
        ):
            self.assert_error(seen, 403, "forbidden", "delete")
        self.assertEqual(len(self.get_json("/api/v1/sessions")["sessions"]), 2)
        self.assertEqual(self.get_json("/api/v1/receipts"), {"receipts": [], "next": None})
        self.get_json("/api/v1/retention")

    def test_delete(self) -> None:
        """A deleted session is answered with its receipt, which stays; everything else of it is
        not found."""
        receipt = self.delete().json
        self.assertEqual((receipt["number"], receipt["deletedTime"]), (1, NOW_US))
        self.assertEqual((receipt["sessionId"], receipt["reason"]), (DESK.session_id, "asked"))
        self.assertEqual((receipt["segmentCount"], receipt["lost"]), (20, []))
        self.assertEqual(self.get_json("/api/v1/receipts")["receipts"], [receipt])
        for path in ("", "/segments", "/init.mp4", "/recording.mp4", "/index.m3u8"):
            self.assert_error(self.ask(DESK_PATH + path), 404, "not-found")
        self.assert_error(self.delete(), 404, "not-found")

    def test_dry_run(self) -> None:
        """A rehearsal tells and does nothing; any other word is refused."""
        receipt = self.delete(DESK_PATH + "?dry-run=true").json
        self.assertEqual((receipt["number"], receipt["segmentCount"]), (None, 20))
        self.get_json(DESK_PATH)
        for text in ("yes", "", "1", "TRUE"):
            seen = self.delete(f"{DESK_PATH}?dry-run={text}")
            self.assert_error(seen, 400, "bad-parameter", "dry-run: ")
        self.assertEqual(self.delete(DESK_PATH + "?dry-run=false").json["number"], 1)

    def test_live(self) -> None:
        """A live session is not deleted."""
        self.assert_error(self.delete(GATE_PATH), 409, "session-live")
        self.get_json(GATE_PATH)

    def test_hold(self) -> None:
        """A held session is not deleted, says so wherever it is listed, and can be released."""
        held = self.hold({"reason": "an appeal"}).json
        self.assertEqual((held["holdReason"], held["heldTime"]), ("an appeal", NOW_US))
        listed = self.get_json("/api/v1/sessions?sentinel=desk-1")["sessions"][0]
        for shown in (listed, self.get_json(DESK_PATH)):
            self.assertEqual((shown["holdReason"], shown["heldTime"]), ("an appeal", NOW_US))
        self.assert_error(self.delete(), 409, "session-held", "an appeal")
        self.assertEqual(self.get_json("/api/v1/retention")["heldSessions"], 1)
        self.assertEqual(self.get_json("/api/v1/retention")["due"], [])
        self.assertIsNone(self.delete(DESK_PATH + "/hold").json["holdReason"])
        self.assertEqual(self.delete().status, 200)

    def test_bad_hold(self) -> None:
        """A hold needs a reason of at most 200 characters, as JSON, and nothing else."""
        bad: list[Any] = [{}, {"reason": ""}, {"reason": 5}, {"reason": "x" * 201}, []]
        for value in bad:
            self.assert_error(self.hold(value), 400, "bad-parameter")
        self.assert_error(self.hold({"reason": "x", "y": 1}), 400, "bad-parameter", "y: ")
        seen = self.ask(DESK_PATH + "/hold", {}, "PUT", b'{"reason": "x"}')
        self.assert_error(seen, 415, "wrong-media-type")
        path = DESK_PATH.replace(DESK.session_id, a_session(77).session_id)
        self.assert_error(self.hold({"reason": "x"}, path), 404, "not-found")

    def test_receipts(self) -> None:
        """Receipts come in pages, the newest first."""
        for _ in range(3):
            self.delete(GATE_PATH.replace("session-00000001", self.spare()))
        numbers = []
        path = "/api/v1/receipts?limit=2"
        while path:
            page = self.get_json(path)
            numbers.append([one["number"] for one in page["receipts"]])
            path = f"/api/v1/receipts?limit=2&after={page['next']}" if page["next"] else ""
        self.assertEqual(numbers, [[3, 2], [1]])
        for text in ("0", "-1", "x", str(2**53)):
            seen = self.ask(f"/api/v1/receipts?after={text}")
            self.assert_error(seen, 400, "bad-parameter", "after: ")

    def test_retention(self) -> None:
        """The policy is told, and what would go."""
        found = self.get_json("/api/v1/retention")
        self.assertEqual(found["retainSeconds"], 1_000_000)
        self.assertEqual(found["retainBytes"], POLICY.max_bytes)
        self.assertEqual([one["sessionId"] for one in found["due"]], [DESK.session_id])
        self.assertFalse(found["more"] or found["rehearsal"])
