"""Tests of `vidlink.server.api.history`: listings, control, errors."""

from __future__ import annotations

import json
from dataclasses import replace

from twisted.internet.defer import Deferred, fail

from tests.fakes.store import MemoryStore
from tests.server.api.histories import (
    DESK,
    DESK_PATH,
    GATE,
    GATE_PATH,
    NOW_US,
    HistoryCase,
    data_of,
    recorded,
)
from tests.store.samples import EPOCH_US, FRAME_US, a_session
from vidlink.errors import StoreError
from vidlink.model import (
    DiskSpace,
    Registration,
    Right,
    SessionPage,
    SessionQuery,
    Waiting,
    WaitReason,
)
from vidlink.server.api.parameters import MAX_SEGMENTS, MAX_SESSIONS


class ListingTests(HistoryCase):
    """What there is, as JSON."""

    def test_me(self) -> None:
        """A client learns what it may do, and what time it is here."""
        self.assertEqual(
            self.get_json("/api/v1/me"),
            {
                "may": [right.value for right in Right],
                "access": "closed",
                "name": "tester",
                "groups": None,
                "serverTime": NOW_US,
            },
        )

    def test_sentinels(self) -> None:
        """Every Sentinel is listed: connected ones as the hub sees them, others offline."""
        desk, gate = self.get_json("/api/v1/sentinels")["sentinels"]
        self.assertEqual(
            desk,
            {
                "sentinelId": "desk-1",
                "name": "Desk One",
                "group": "ward",
                "state": "offline",
                "sessionId": None,
                "framerate": None,
                "lastSegmentTime": EPOCH_US + 20 * FRAME_US,
                "recording": "none",
            },
        )
        self.assertEqual(
            gate,
            {
                "sentinelId": "gate.2",
                "name": "Gate → East",
                "group": "yard",
                "state": "live",
                "sessionId": GATE.session_id,
                "framerate": 5.0,
                "lastSegmentTime": GATE.started_time_us + 19 * FRAME_US,
                "recording": "ok",
            },
        )

    def test_sessions(self) -> None:
        """Sessions are listed newest first, each with its numbers."""
        page = self.get_json("/api/v1/sessions")
        self.assertIsNone(page["next"])
        gate, desk = page["sessions"]
        self.assertEqual(
            desk,
            {
                "sentinelId": "desk-1",
                "sessionId": DESK.session_id,
                "name": "Desk One",
                "group": "ward",
                "software": "test/1",
                "state": "ended",
                "startedTime": EPOCH_US,
                "endedTime": EPOCH_US + 4_100_000,
                "endReason": "the sentinel disconnected",
                "startTime": EPOCH_US,
                "endTime": EPOCH_US + 20 * FRAME_US,
                "firstSequence": 0,
                "lastSequence": 19,
                "segmentCount": 20,
                "size": len(data_of(DESK, *range(20))),
                "mime": 'video/mp4; codecs="avc1.42C01F"',
                "width": 64,
                "height": 48,
                "timescale": 90_000,
                "holdReason": None,
                "heldTime": None,
                "ageTime": None,
            },
        )
        self.assertEqual(gate["state"], "live")
        self.assertIsNone(gate["endedTime"])

    def test_sessions_asked_for(self) -> None:
        """Sentinel, group and time narrow the list; each bound may be written in two ways."""
        start = GATE.started_time_us
        for query, expected in (
            ("sentinel=desk-1", ["desk-1"]),
            ("sentinel=nobody", []),
            ("group=yard", ["gate.2"]),
            (f"from={start}", ["gate.2"]),
            (f"to={start}", ["desk-1"]),
            ("from=2024-01-01T00:01:00Z", ["gate.2"]),
            ("to=2024-01-01T00:01:00Z", ["desk-1"]),
            ("from=2024-01-01T01:01:00%2B01:00&sentinel=gate.2", ["gate.2"]),
        ):
            page = self.get_json("/api/v1/sessions?" + query)
            ids = [session["sentinelId"] for session in page["sessions"]]
            self.assertEqual(ids, expected, query)

    def test_sessions_paged(self) -> None:
        """`next` of a page is the `after` of the one that follows."""
        first = self.get_json("/api/v1/sessions?limit=1")
        second = self.get_json(f"/api/v1/sessions?limit=1&after={first['next']}")
        ids = [page["sessions"][0]["sentinelId"] for page in (first, second)]
        self.assertEqual(ids, ["gate.2", "desk-1"])
        self.assertIsNone(second["next"])

    def test_session(self) -> None:
        """One session tells what is there of it, what is missing, and why."""
        session = self.get_json(GATE_PATH)
        summary = self.get_json("/api/v1/sessions")["sessions"][0]
        self.assertEqual(session.keys() - summary.keys(), {"spans", "gaps", "listedTo"})
        spans = [(span["first"], span["last"]) for span in session["spans"]]
        self.assertEqual(spans, [(0, 6), (10, 11), (13, 19)])
        start = GATE.started_time_us
        self.assertEqual(
            session["spans"][0],
            {
                "first": 0,
                "last": 6,
                "startTime": start,
                "endTime": start + 7 * FRAME_US,
                "size": len(data_of(GATE, *range(7))),
            },
        )
        gaps = [(gap["first"], gap["last"], gap["cause"]) for gap in session["gaps"]]
        self.assertEqual(gaps, [(7, 9, "missing"), (12, 12, "declared")])
        self.assertEqual(session["gaps"][1]["detail"], "the spool was full")
        keys = {"first", "last", "cause", "startTime", "endTime", "detail"}
        self.assertEqual(session["gaps"][0].keys(), keys)

    def test_segments(self) -> None:
        """Segments are listed in order, with what a player has to know of each."""
        page = self.get_json(GATE_PATH + "/segments")
        self.assertEqual(page.keys(), {"sentinelId", "sessionId", "segments", "gaps", "next"})
        self.assertEqual((page["sentinelId"], page["sessionId"]), ("gate.2", GATE.session_id))
        numbers = [segment["sequence"] for segment in page["segments"]]
        self.assertEqual(numbers, [*range(7), 10, 11, *range(13, 20)])
        self.assertEqual(
            page["segments"][0],
            {
                "sequence": 0,
                "startTime": GATE.started_time_us,
                "duration": 200,
                "keyframe": True,
                "framerate": 5.0,
                "size": len(data_of(GATE, 0)),
                "late": False,
                "undecodable": False,
                "mediaTime": 0,
                "mediaDuration": 18_000,
                "receivedTime": GATE.started_time_us + 30_000,
                "durable": True,
                "startTimeCorrected": False,
                "misplaced": False,
            },
        )
        broken = [one["sequence"] for one in page["segments"] if one["undecodable"]]
        self.assertEqual(broken, [13, 14])
        self.assertEqual([gap["first"] for gap in page["gaps"]], [7, 12])

    def test_segments_asked_for(self) -> None:
        """Time and place narrow the list; `next` of a page is the `after` of the next one."""
        start = DESK.started_time_us
        for query, expected in (
            ("limit=3", [0, 1, 2]),
            ("limit=3&after=2", [3, 4, 5]),
            ("after=18", [19]),
            (f"from={start + 17 * FRAME_US}", [17, 18, 19]),
            (f"to={start + 2 * FRAME_US}", [0, 1]),
            ("from=2024-01-01T00:00:03.8Z", [19]),
        ):
            page = self.get_json(f"{DESK_PATH}/segments?{query}")
            numbers = [segment["sequence"] for segment in page["segments"]]
            self.assertEqual(numbers, expected, query)
        self.assertEqual(self.get_json(f"{DESK_PATH}/segments?limit=3")["next"], 2)
        self.assertIsNone(self.get_json(f"{DESK_PATH}/segments?after=18")["next"])

    def test_validators(self) -> None:
        """A listing is asked for again each time, and costs a line while it is the same."""
        for path in ("/api/v1/sentinels", "/api/v1/sessions", DESK_PATH, GATE_PATH + "/segments"):
            seen = self.ask(path)
            self.assertEqual(seen.header("Cache-Control"), "private, no-cache")
            self.assertEqual(seen.length, len(seen.body))
            again = self.ask(path, {"If-None-Match": seen.header("ETag") or ""})
            self.assertEqual((again.status, again.body), (304, b""))
            self.assertEqual(again.header("ETag"), seen.header("ETag"))
        self.store.end(GATE.session_id, "over", NOW_US)
        changed = self.ask(GATE_PATH, {"If-None-Match": self.ask(DESK_PATH).header("ETag") or ""})
        self.assertEqual(changed.status, 200)
        self.assert_error(
            self.ask(GATE_PATH, {"If-Match": '"another"'}), 412, "precondition-failed", "If-Match"
        )

    def test_head(self) -> None:
        """HEAD gives the headers of GET, and no body."""
        paths = ["/healthz", "/api/v1/sentinels", DESK_PATH, DESK_PATH + "/segments?limit=2"]
        for path in paths:
            get, head = self.ask(path), self.ask(path, method="HEAD")
            self.assertEqual((head.status, head.body), (200, b""), path)
            for name in ("Content-Type", "ETag", "Cache-Control"):
                self.assertEqual(head.header(name), get.header(name), (path, name))

    def test_health(self) -> None:
        """The process says that it is alive, and that the recordings can be read."""
        for path in ("/healthz", "/readyz"):
            seen = self.ask(path)
            self.assertEqual((seen.status, seen.json["status"]), (200, "ok"))
            self.assertEqual(seen.header("Cache-Control"), "no-store")

    def test_not_ready(self) -> None:
        """What is wrong is a 503 that says so in words, while the process is alive."""
        self.store.room = DiskSpace(1_000_000, 10**12)
        self.seconds += 10
        self.health.tick()
        seen = self.ask("/readyz")
        self.assertEqual((seen.status, seen.json["status"]), (503, "trouble"))
        told = {"store": "ok", "recording": "ok", "queue": "ok"}
        told |= {"disk": "only 1 MB are free on the disk", "audit": "ok", "retention": "ok"}
        self.assertEqual(seen.json["checks"], told)
        self.assertEqual(seen.header("Cache-Control"), "no-store")
        self.assertEqual(self.ask("/healthz").status, 200)

    def test_ready_all_the_same(self) -> None:
        """That something is not deleted yet is told, and is no reason to send nobody here."""
        waiting = (Waiting(WaitReason.POLICY, "the policy is new", 60.0),)
        health = replace(self.store.health(), undeleted=waiting)
        self.patch(self.store, "health", lambda: health)
        seen = self.ask("/readyz")
        self.assertEqual((seen.status, seen.json["status"]), (200, "ok"))
        self.assertIn("the policy is new", seen.json["checks"]["retention"])


class RefusalTests(HistoryCase):
    """What cannot be answered, and how that is said."""

    def test_unknown_paths(self) -> None:
        """A path that does not exist is a 404 in JSON."""
        for path in (
            "/api",
            "/api/",
            "/api/v1",
            "/api/v1/",
            "/api/v2/me",
            "/api/v1/me/",
            "/api//v1/me",
            "/api/v1/sentinels/desk-1",
            DESK_PATH + "/",
            DESK_PATH + "/init.mp5",
            DESK_PATH + "/segments/1/2",
            "/api/v1/%D9%A3",
        ):
            self.assert_error(self.ask(path), 404, "not-found")

    def test_unknown_ids(self) -> None:
        """A session that does not exist is a 404 wherever it is asked for."""
        other = DESK_PATH.replace("session-", "missing-")
        not_its_own = DESK_PATH.replace("desk-1", "gate.2")
        for path in (other, not_its_own):
            for rest in ("", "/segments", "/init.mp4", "/segments/0", "/recording.mp4"):
                self.assert_error(self.ask(path + rest), 404, "not-found", "no session")

    def test_bad_parameters(self) -> None:
        """A bad parameter is a 400 that begins with its name."""
        for path, name in (
            ("/api/v1/me?x=1", "x"),
            ("/healthz?x=1", "x"),
            ("/readyz?x=1", "x"),
            ("/api/v1/sentinels?group=a", "group"),
            ("/api/v1/sessions?form=1", "form"),
            ("/api/v1/sessions?from=yesterday", "from"),
            ("/api/v1/sessions?to=-1", "to"),
            ("/api/v1/sessions?from=2&to=1", "from"),
            (f"/api/v1/sessions?limit={MAX_SESSIONS + 1}", "limit"),
            ("/api/v1/sessions?limit=0", "limit"),
            ("/api/v1/sessions?sentinel=../x", "sentinel"),
            ("/api/v1/sessions?group=a&group=b", "group"),
            ("/api/v1/sessions?group=" + "a" * 201, "group"),
            (DESK_PATH + "?x", "x"),
            (DESK_PATH + f"/segments?limit={MAX_SEGMENTS + 1}", "limit"),
            (DESK_PATH + "/segments?after=x", "after"),
            (DESK_PATH + "/segments?sentinel=desk-1", "sentinel"),
            (DESK_PATH + "/init.mp4?last=1", "last"),
            (DESK_PATH + "/segments/0?x=1", "x"),
            (DESK_PATH + "/segments/x", "sequence"),
            (DESK_PATH + "/segments/+1", "sequence"),
            (DESK_PATH + "/segments/%D9%A3", "sequence"),
            (DESK_PATH + "/segments/4294967296", "sequence"),
            (DESK_PATH + "/segments/-1", "first"),
            (DESK_PATH + "/segments/1-", "last"),
            (DESK_PATH + "/segments/1-2-3", "last"),
            (DESK_PATH + "/segments/2-1", "last"),
            (DESK_PATH + "/segments/0-1000", "last"),
            (DESK_PATH + "/recording.mp4?last=x", "last"),
            (DESK_PATH + "/recording.mp4?start=x", "start"),
            (DESK_PATH + "/recording.mp4?end=-1", "end"),
            (DESK_PATH + "/recording.mp4?start=2&end=1", "start"),
            (DESK_PATH + "/recording.mp4?from=1", "from"),
            (DESK_PATH + "/index.m3u8?last=1", "last"),
            (DESK_PATH + "/segments/1.mp5", "sequence"),
            (DESK_PATH + "/segments/1-2.mp4.mp4", "last"),
            ("/api/v1/sentinels/-x/sessions/" + DESK.session_id, "sentinelId"),
            ("/api/v1/sentinels/a%2Fb/sessions/" + DESK.session_id, "sentinelId"),
            ("/api/v1/sentinels/desk-1/sessions/short", "sessionId"),
            ("/api/v1/sentinels/desk-1/sessions/short/recording.mp4", "sessionId"),
        ):
            if "%2F" in path:  # A slash in an id is a slash in the path, so another path.
                self.assert_error(self.ask(path), 404, "not-found")
                continue
            seen = self.ask(path)
            self.assert_error(seen, 400, "bad-parameter")
            self.assertTrue(seen.json["error"]["message"].startswith(f"{name}: "), seen.body)

    def test_bad_place(self) -> None:
        """An `after` that was no `next` is a 400."""
        self.assert_error(self.ask("/api/v1/sessions?after=x"), 400, "bad-request", "after")

    def test_methods(self) -> None:
        """OPTIONS lists the methods of a path; any other than those is a 405 that does."""
        for path, allowed in (
            ("/healthz", "GET, HEAD, OPTIONS"),
            ("/api/v1/sessions", "GET, HEAD, OPTIONS"),
            (DESK_PATH, "DELETE, GET, HEAD, OPTIONS"),
            (DESK_PATH + "/hold", "DELETE, OPTIONS, PUT"),
            ("/api/v1/receipts", "GET, HEAD, OPTIONS"),
            ("/api/v1/retention", "GET, HEAD, OPTIONS"),
            (DESK_PATH + "/recording.mp4", "GET, HEAD, OPTIONS"),
            ("/api/v1/sentinels/gate.2/keyframe", "OPTIONS, POST"),
            ("/api/v1/sentinels/gate.2/framerate", "OPTIONS, PUT"),
        ):
            seen = self.ask(path, method="OPTIONS")
            self.assertEqual((seen.status, seen.header("Allow"), seen.body), (200, allowed, b""))
            methods = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"}
            for method in methods - set(allowed.split(", ")):
                seen = self.ask(path, method=method)
                self.assertEqual(seen.header("Allow"), allowed, (method, path))
                if method != "HEAD":
                    self.assert_error(seen, 405, "method-not-allowed", method, allowed)
        self.assertEqual(self.publisher.asked, [])


class SentinelPageTests(HistoryCase):
    """The list of Sentinels in pages."""

    def test_pages(self) -> None:
        """Pages one after the other are the whole list, each Sentinel once, by id."""
        for number in range(7):
            recorded(self.store, a_session(20 + number, sentinel_id=f"old-{number}"))
        whole = self.get_json("/api/v1/sentinels")
        self.assertEqual((len(whole["sentinels"]), whole["next"]), (9, None))
        for limit in (1, 2, 8, 9, 10):
            rows, path = [], f"/api/v1/sentinels?limit={limit}"
            while True:
                page = self.get_json(path)
                self.assertLessEqual(len(page["sentinels"]), limit)
                rows += page["sentinels"]
                if page["next"] is None:
                    break
                self.assertEqual(page["next"], rows[-1]["sentinelId"])
                path = f"/api/v1/sentinels?limit={limit}&after={page['next']}"
            self.assertEqual(rows, whole["sentinels"], limit)

    def test_bad(self) -> None:
        """What is no id, and no number in range, is refused."""
        for query, name in (
            ("after=a%20b", "after"),
            ("limit=0", "limit"),
            ("limit=5001", "limit"),
        ):
            self.assert_error(self.ask(f"/api/v1/sentinels?{query}"), 400, "bad-parameter", name)


class BrokenArchive(MemoryStore):
    """An archive whose disk is gone, or that has a bug."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def sentinels(self) -> Deferred[tuple[tuple[Registration, int | None], ...]]:
        """Fail."""
        return fail(self.error)

    def sessions(self, query: SessionQuery) -> Deferred[SessionPage]:
        """Fail."""
        return fail(self.error)


class FaultTests(HistoryCase):
    """What is no client's fault."""

    def test_store_gone(self) -> None:
        """A store that cannot be read is a 503 that names no files; not ready, but alive."""
        self.serve(BrokenArchive(StoreError("/var/lib/vidlink/index.sqlite3: disk I/O error")))
        for path in ("/api/v1/sessions", "/api/v1/sentinels"):
            seen = self.ask(path)
            self.assert_error(seen, 503, "store", "cannot be used")
            self.assertNotIn(b"sqlite", seen.body)
        self.assertEqual(self.ask("/healthz").status, 200)

    def test_bug(self) -> None:
        """A bug is a 500 without its traceback, which is in the log."""
        self.serve(BrokenArchive(ZeroDivisionError("secret")))
        seen = self.ask("/api/v1/sessions")
        self.assert_error(seen, 500, "internal", "log")
        self.assertNotIn(b"secret", seen.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ControlTests(HistoryCase):
    """Asking a Sentinel for something."""

    KEYFRAME = "/api/v1/sentinels/gate.2/keyframe"
    FRAMERATE = "/api/v1/sentinels/gate.2/framerate"

    def put(self, value: object, path: str = FRAMERATE) -> tuple[int, object]:
        """PUT `value` as JSON: status and JSON of the answer."""
        headers = {"Content-Type": "application/json"}
        seen = self.ask(path, headers, "PUT", json.dumps(value).encode())
        self.assertEqual(seen.header("Cache-Control"), "no-store")
        return seen.status, seen.json

    def test_keyframe(self) -> None:
        """A keyframe is asked for, with or without an empty object in the body."""
        for data, headers in ((None, {}), (b" {}", {"Content-Type": "application/json"})):
            seen = self.ask(self.KEYFRAME, headers, "POST", data)
            self.assertEqual((seen.status, seen.json), (202, {"sentinelId": "gate.2"}))
        self.assertEqual(self.publisher.asked, ["keyframe", "keyframe"])

    def test_framerate(self) -> None:
        """A frame rate is asked for, within the bounds of Sentinels; the answer has the result."""
        for wanted, taken in ((2.5, 2.5), (5, 5.0), (30, 5.0), (0.1, 0.2)):
            expected = (200, {"sentinelId": "gate.2", "framerate": taken})
            self.assertEqual(self.put({"framerate": wanted}), expected)
        self.assertEqual(self.publisher.asked, [2500, 5000, 5000, 200])
        gate = self.get_json("/api/v1/sentinels")["sentinels"][1]
        self.assertEqual(gate["framerate"], 0.2)

    def test_bad_bodies(self) -> None:
        """A body that is not what is wanted changes nothing."""
        json_type = {"Content-Type": "application/json"}
        for path, method, data in (
            (self.FRAMERATE, "PUT", b""),
            (self.FRAMERATE, "PUT", b"{}"),
            (self.FRAMERATE, "PUT", b"5"),
            (self.FRAMERATE, "PUT", b'{"framerate": "5"}'),
            (self.FRAMERATE, "PUT", b'{"framerate": 5, "x": 1}'),
            (self.KEYFRAME, "POST", b"1"),
            (self.KEYFRAME, "POST", b'{"now": true}'),
        ):
            seen = self.ask(path, json_type, method, data)
            self.assert_error(seen, 400, "bad-parameter")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for headers in (form, {"Content-Type": "text/plain"}):
            for path, method in ((self.KEYFRAME, "POST"), (self.FRAMERATE, "PUT")):
                seen = self.ask(path, headers, method, b'{"framerate": 5}')
                self.assert_error(seen, 415, "wrong-media-type", "application/json")
        self.assertEqual(self.publisher.asked, [])

    def test_nobody_there(self) -> None:
        """Who was never here is a 404, who is not connected a 409."""
        self.assertEqual(self.put({"framerate": 5}, "/api/v1/sentinels/x/framerate")[0], 404)
        self.assert_error(
            self.ask("/api/v1/sentinels/x/keyframe", method="POST"), 404, "not-found", "x"
        )
        stream = self.hub.stream("gate.2")
        assert stream is not None
        stream.detach(self.publisher)
        seen = self.ask(self.KEYFRAME, method="POST")
        self.assert_error(seen, 409, "sentinel-offline", "gate.2")
        self.assertEqual(self.publisher.asked, [])
