"""Tests of time ranges and playlists over HTTP."""

from __future__ import annotations

from tests.fakes.store import MemoryStore
from tests.fmp4.movies import media_of
from tests.server.api.histories import (
    DESK,
    DESK_PATH,
    GATE,
    GATE_PATH,
    NOW_US,
    HistoryCase,
    recorded,
)
from tests.store.samples import EPOCH_US, FRAME_US, INIT, a_session, an_arrival

FILM = DESK_PATH + "/recording.mp4"
LIST = "/index.m3u8"
DAY_US = 86_400_000_000


def at(frame: float) -> str:
    """When this frame of the desk's session was captured, as a parameter."""
    return str(EPOCH_US + round(frame * FRAME_US))


class RangeTests(HistoryCase):
    """``recording.mp4`` with ``start`` and ``end``."""

    def test_range(self) -> None:
        """A range is a film that begins with the picture asked for, and says so."""
        seen = self.ask(f"{FILM}?start={at(7)}&end={at(12)}")
        self.assertEqual(seen.status, 200)
        media = b"".join(bytes(an_arrival(DESK, n).segment.data) for n in range(5, 12))
        self.assertEqual(media_of(seen.body), media)
        self.assertEqual(seen.length, len(seen.body))
        for name, value in (
            ("Content-Type", "video/mp4"),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", "private, max-age=31536000, immutable"),
            (
                "Content-Disposition",
                'attachment; filename="desk-1-20240101T000001Z-20240101T000002Z.mp4"',
            ),
            ("VidLink-Start", at(7)),
        ):
            self.assertEqual(seen.header(name), value)
        self.assertRegex(seen.header("ETag") or "", '^"[!-~]+"$')

    def test_one_bound(self) -> None:
        """Either bound may be missing, and times may be written in both ways."""
        whole = self.ask(FILM).body
        self.assertEqual(self.ask(f"{FILM}?start={EPOCH_US - 5}").body, whole)
        self.assertEqual(self.ask(f"{FILM}?end=2030-01-01T00:00:00Z").body, whole)
        one = self.ask(f"{FILM}?start={at(15)}")
        other = self.ask(f"{FILM}?start=2024-01-01T01:00:03%2B01:00")
        self.assertEqual(one.body, other.body)
        self.assertEqual(one.header("VidLink-Start"), at(15))
        self.assertEqual(self.ask(FILM + "?last=3").header("VidLink-Start"), at(0))

    def test_parts_of_a_range(self) -> None:
        """A range has parts, preconditions and HEAD like the whole."""
        path = f"{FILM}?start={at(7)}&end={at(12)}"
        whole = self.ask(path)
        etag = whole.header("ETag") or ""
        part = self.ask(path, {"Range": "bytes=100-299", "If-Range": etag})
        self.assertEqual((part.status, part.body), (206, whole.body[100:300]))
        self.assertEqual(part.header("VidLink-Start"), at(7))
        self.assertEqual(self.ask(path, {"If-None-Match": etag}).status, 304)
        self.assertEqual(self.ask(path, {"If-Match": '"other"'}).status, 412)
        self.assertNotEqual(self.ask(FILM).header("ETag"), etag)
        head = self.ask(path, method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("ETag", "VidLink-Start", "Content-Disposition"):
            self.assertEqual(head.header(name), whole.header(name))

    def test_live_range(self) -> None:
        """The range of a live session grows, unless ``last`` pins it."""
        path = f"{GATE_PATH}/recording.mp4?start={GATE.started_time_us}"
        grows, pinned = self.ask(path), self.ask(path + "&last=19")
        self.assertEqual(grows.body, pinned.body)
        self.store.append(GATE.session_id, an_arrival(GATE, 20))
        self.assertNotEqual(self.ask(path).header("ETag"), grows.header("ETag"))
        again = self.ask(path + "&last=19")
        self.assertEqual((again.header("ETag"), again.body), (pinned.header("ETag"), pinned.body))

    def test_nothing_in_range(self) -> None:
        """A range of which nothing can be shown is a 404 that says so; one that runs
        backwards a 400."""
        for query in (f"start={at(20)}", f"end={EPOCH_US}", f"start={at(3)}&end={at(2)}"):
            seen = self.ask(f"{FILM}?{query}")
            if "&" in query:
                self.assert_error(seen, 400, "bad-parameter", "start: must not be after end")
            else:
                self.assert_error(seen, 404, "not-found", "this time")


class PlaylistTests(HistoryCase):
    """``index.m3u8``."""

    def uris(self, path: str) -> list[str]:
        """What the list names, the initialization segment first."""
        seen = self.ask(path + LIST)
        self.assertEqual(seen.status, 200)
        self.assertEqual(seen.header("Content-Type"), "application/vnd.apple.mpegurl")
        lines = seen.body.decode("ascii").splitlines()
        self.assertEqual(lines[0], "#EXTM3U")
        (init,) = [line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP")]
        return [init, *(line for line in lines if not line.startswith("#"))]

    def test_ended(self) -> None:
        """A list names all that a player needs, and each of it is there and whole."""
        uris = self.uris(DESK_PATH)
        self.assertEqual(len(uris), 5)
        media = b""
        for uri in uris:
            seen = self.ask(f"{DESK_PATH}/{uri}")
            self.assertEqual(seen.status, 200)
            self.assertEqual(seen.header("Content-Type"), "video/mp4")
            self.assertIsNone(seen.header("VidLink-Missing"))
            media += seen.body
        film = self.ask(FILM).body
        self.assertEqual(media, INIT + media_of(film))

    def test_live(self) -> None:
        """The list of a live session grows at its end, is asked for again each time, and costs
        a line while it is the same."""
        before = self.ask(GATE_PATH + LIST)
        self.assertEqual(before.header("Cache-Control"), "private, no-cache")
        self.assertNotIn(b"ENDLIST", before.body)
        etag = before.header("ETag") or ""
        same = self.ask(GATE_PATH + LIST, {"If-None-Match": "W/" + etag})
        self.assertEqual((same.status, same.body), (304, b""))
        self.store.append(GATE.session_id, an_arrival(GATE, 20))
        after = self.ask(GATE_PATH + LIST, {"If-None-Match": etag})
        self.assertTrue(after.body.startswith(before.body))
        self.assertEqual(self.uris(GATE_PATH)[-1], "segments/15-19.mp4")
        self.store.end(GATE.session_id, "over", NOW_US)
        closed = self.ask(GATE_PATH + LIST).body
        self.assertTrue(closed.startswith(after.body))
        self.assertTrue(closed.endswith(b"segments/20-20.mp4\n#EXT-X-ENDLIST\n"))

    def test_head(self) -> None:
        """HEAD gives the headers of GET."""
        get, head = self.ask(DESK_PATH + LIST), self.ask(DESK_PATH + LIST, method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("Content-Type", "ETag", "Cache-Control"):
            self.assertEqual(head.header(name), get.header(name))

    def test_sealed(self) -> None:
        """The list of a sealed session never changes again."""
        store = MemoryStore(wall_clock_us=lambda: NOW_US + 2 * DAY_US)
        recorded(store, DESK)
        store.end(DESK.session_id, "over", NOW_US)
        self.serve(store)
        seen = self.ask(DESK_PATH + LIST)
        self.assertEqual(seen.header("Cache-Control"), "private, max-age=31536000, immutable")
        self.assertIn(b"#EXT-X-PLAYLIST-TYPE:VOD\n", seen.body)

    def test_unknown(self) -> None:
        """A session that does not exist has no list and no ranges."""
        other = DESK_PATH.replace(DESK.session_id, a_session(77).session_id)
        for path in (other + LIST, other + "/recording.mp4?start=0"):
            self.assert_error(self.ask(path), 404, "not-found", "no session")

    def test_names(self) -> None:
        """Segments are served under names with an extension too."""
        for numbers in ("4", "4-6"):
            one = self.ask(f"{DESK_PATH}/segments/{numbers}")
            other = self.ask(f"{DESK_PATH}/segments/{numbers}.mp4")
            self.assertEqual((other.status, other.body), (200, one.body))
            self.assertEqual(other.header("ETag"), one.header("ETag"))
