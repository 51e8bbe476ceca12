"""Conditional and range requests of whole answers, as RFC 9110 sections 13 and 14 have them."""

from __future__ import annotations

from tests.server.api.histories import DESK_PATH, HistoryCase
from tests.store.samples import a_session

#: Without `last` it is elsewhere, as its session is not sealed.
FILM = DESK_PATH + "/recording.mp4?last=19"
#: Media in every form, and a listing.
MEDIA = (FILM, FILM + "&start=0", DESK_PATH + "/index.m3u8", DESK_PATH + "/segments/0-9")
CHANGING = MEDIA[:3]
#: Media that cannot change any more, and when the newest of it was received.
FINAL = (
    (DESK_PATH + "/init.mp4", "Mon, 01 Jan 2024 00:00:00 GMT"),
    (DESK_PATH + "/segments/0", "Mon, 01 Jan 2024 00:00:00 GMT"),
    (DESK_PATH + "/segments/0-9", "Mon, 01 Jan 2024 00:00:01 GMT"),
)
#: The same second in the three forms of RFC 9110 section 5.6.7, and the ones beside it.
SAME = (
    "Mon, 01 Jan 2024 00:00:01 GMT",
    "Monday, 01-Jan-24 00:00:01 GMT",
    "Mon Jan  1 00:00:01 2024",
)
BEFORE, AFTER = "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:02 GMT"
LONG_AGO, FAR_AHEAD = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT"


class ConditionTests(HistoryCase):
    """What stands in the request's header, and what is answered."""

    def etag(self, path: str) -> str:
        """The validator of what is there now."""
        return self.ask(path).header("ETag") or ""

    def test_no_dates(self) -> None:
        """What may still change has no date; conditions on dates are as if they were not there."""
        for path in (*CHANGING, DESK_PATH):
            self.assertIsNone(self.ask(path).header("Last-Modified"))
            for name in ("If-Modified-Since", "If-Unmodified-Since"):
                for date in (LONG_AGO, FAR_AHEAD, "yesterday"):
                    self.assertEqual(self.ask(path, {name: date}).status, 200, (path, name))

    def test_date(self) -> None:
        """What cannot change any more says when the newest of it was received, whatever is
        answered."""
        for path, date in FINAL:
            for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
                self.assertEqual(self.ask(path, headers).header("Last-Modified"), date, path)
            self.assertEqual(self.ask(path, method="HEAD").header("Last-Modified"), date, path)

    def test_dates(self) -> None:
        """Where there is a date, conditions on it are honoured, in each form of a date; what is no
        date is as if it were not there."""
        path = FINAL[2][0]
        for name, dates, status in (
            ("If-Modified-Since", (*SAME, AFTER, FAR_AHEAD), 304),
            ("If-Modified-Since", (BEFORE, LONG_AGO, "yesterday", "", "1", SAME[0] + ", x"), 200),
            ("If-Unmodified-Since", (*SAME, AFTER, "yesterday", "Mon, 99 Jan"), 200),
            ("If-Unmodified-Since", (BEFORE, LONG_AGO), 412),
        ):
            for date in dates:
                self.assertEqual(self.ask(path, {name: date}).status, status, (name, date))

    def test_dates_and_tags(self) -> None:
        """Beside a list of tags dates count for nothing."""
        path = FINAL[2][0]
        etag = self.etag(path)
        for headers, status in (
            ({"If-None-Match": '"other"', "If-Modified-Since": FAR_AHEAD}, 200),
            ({"If-None-Match": etag, "If-Modified-Since": LONG_AGO}, 304),
            ({"If-Match": etag, "If-Unmodified-Since": LONG_AGO}, 200),
            ({"If-Match": '"other"', "If-Unmodified-Since": FAR_AHEAD}, 412),
        ):
            self.assertEqual(self.ask(path, headers).status, status, headers)

    def test_range_of_a_date(self) -> None:
        """A range goes on from exactly this date, and from no later one."""
        path = FINAL[2][0]
        for dates, status in ((SAME, 206), ((BEFORE, AFTER, FAR_AHEAD, "Mon, x"), 200)):
            for date in dates:
                seen = self.ask(path, {"Range": "bytes=0-1", "If-Range": date})
                self.assertEqual(seen.status, status, date)

    def test_clock_that_was_ahead(self) -> None:
        """No date is later than the answer."""
        session = a_session(80)
        object.__setattr__(session, "started_time_us", 2**62)
        self.store.begin(session, lambda sequence: None)
        path = f"/api/v1/sentinels/desk-1/sessions/{session.session_id}/init.mp4"
        self.assertIsNone(self.ask(path).header("Last-Modified"))

    def test_date_in_if_range(self) -> None:
        """A range that was meant for what there was at a date is answered with the whole."""
        for path in CHANGING:
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
        for path in map(self.stays, MEDIA):
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
        for path in map(self.stays, MEDIA):
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
