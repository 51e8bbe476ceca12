"""Conditional and range requests of whole answers, as RFC 9110 sections 13 and 14 have them."""

from __future__ import annotations

from tests.server.api.histories import DESK_PATH, HistoryCase

#: Without `last` it is elsewhere, as its session is not sealed.
FILM = DESK_PATH + "/recording.mp4?last=19"
#: Media in every form, and a listing.
MEDIA = (FILM, FILM + "&start=0", DESK_PATH + "/index.m3u8", DESK_PATH + "/segments/0-9")
LONG_AGO, FAR_AHEAD = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT"


class ConditionTests(HistoryCase):
    """What stands in the request's header, and what is answered."""

    def etag(self, path: str) -> str:
        """The validator of what is there now."""
        return self.ask(path).header("ETag") or ""

    def test_no_dates(self) -> None:
        """Nothing here has a date, so conditions on dates are as if they were not there."""
        for path in (*MEDIA, DESK_PATH):
            self.assertIsNone(self.ask(path).header("Last-Modified"))
            for name in ("If-Modified-Since", "If-Unmodified-Since"):
                for date in (LONG_AGO, FAR_AHEAD, "yesterday"):
                    self.assertEqual(self.ask(path, {name: date}).status, 200, (path, name))

    def test_date_in_if_range(self) -> None:
        """A range that was meant for what there was at a date is answered with the whole."""
        for path in MEDIA:
            whole = self.ask(path).body
            for date in (LONG_AGO, FAR_AHEAD):
                seen = self.ask(path, {"Range": "bytes=0-1", "If-Range": date})
                self.assertEqual((seen.status, seen.body), (200, whole))

    def test_if_range_alone(self) -> None:
        """`If-Range` without `Range` means nothing."""
        for value in (self.etag(FILM), '"other"', LONG_AGO):
            self.assertEqual(self.ask(FILM, {"If-Range": value}).status, 200)

    def test_precedence(self) -> None:
        """`If-Match` is looked at first, then `If-None-Match`, then the range."""
        for path in MEDIA:
            etag = self.etag(path)
            beyond = {"Range": "bytes=99999999-"}
            self.assertEqual(self.ask(path, beyond).status, 416)
            seen = self.ask(path, {"If-None-Match": etag, **beyond})
            self.assertEqual((seen.status, seen.body), (304, b""))
            seen = self.ask(path, {"If-Match": '"other"', "If-None-Match": etag, **beyond})
            self.assert_error(seen, 412, "precondition-failed")
            seen = self.ask(path, {"If-Match": etag, "If-None-Match": '"other"', **beyond})
            self.assertEqual(seen.status, 416)
            seen = self.ask(path, {"If-Range": '"other"', **beyond})
            self.assertEqual(seen.status, 200)

    def test_weak_and_strong(self) -> None:
        """What is only equal in meaning will do for a copy that is kept, and for nothing that
        is put together from bytes."""
        for path in MEDIA:
            weak = "W/" + self.etag(path)
            self.assertEqual(self.ask(path, {"If-None-Match": weak}).status, 304)
            self.assertEqual(self.ask(path, {"If-Match": weak}).status, 412)
            seen = self.ask(path, {"Range": "bytes=0-1", "If-Range": weak})
            self.assertEqual(seen.status, 200)

    def test_any_version(self) -> None:
        """A star names whatever is there."""
        for path in MEDIA:
            self.assertEqual(self.ask(path, {"If-Match": "*"}).status, 200)
            self.assertEqual(self.ask(path, {"If-None-Match": "*"}).status, 304)

    def test_nothing_there(self) -> None:
        """Conditions do not hide that there is nothing."""
        for name in ("If-Match", "If-None-Match"):
            seen = self.ask(DESK_PATH + "/segments/77", {name: "*"})
            self.assert_error(seen, 404, "not-found")

    def test_head(self) -> None:
        """HEAD has the conditions of GET, and no ranges."""
        for path in MEDIA:
            etag = self.etag(path)
            for headers, status in (
                ({"If-None-Match": etag}, 304),
                ({"If-Match": '"other"'}, 412),
                ({"Range": "bytes=0-1"}, 200),
                ({"Range": "bytes=99999999-"}, 200),
                ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200),
            ):
                seen = self.ask(path, headers, method="HEAD")
                self.assertEqual((seen.status, seen.body), (status, b""), (path, headers))
                self.assertIsNone(seen.header("Content-Range"))

    def test_parts(self) -> None:
        """Parts put together are the whole, each with the headers of the whole."""
        for path in MEDIA:
            whole = self.ask(path)
            half = len(whole.body) // 2
            joined = b""
            for asked in (f"bytes=0-{half - 1}", f"bytes={half}-"):
                seen = self.ask(path, {"Range": asked, "If-Range": whole.header("ETag") or ""})
                self.assertEqual(seen.status, 206)
                for name in ("ETag", "Cache-Control", "Content-Type", "Accept-Ranges"):
                    self.assertEqual(seen.header(name), whole.header(name))
                joined += seen.body
            self.assertEqual(joined, whole.body)
            last = self.ask(path, {"Range": "bytes=-1"})
            self.assertEqual(last.body, whole.body[-1:])
            size = len(whole.body)
            self.assertEqual(last.header("Content-Range"), f"bytes {size - 1}-{size - 1}/{size}")

    def test_no_part_of_a_listing(self) -> None:
        """Listings have no parts: a range is passed over, and they do not offer any."""
        seen = self.ask(DESK_PATH, {"Range": "bytes=0-1"})
        self.assertEqual((seen.status, seen.body), (200, self.ask(DESK_PATH).body))
        self.assertIsNone(seen.header("Accept-Ranges"))
