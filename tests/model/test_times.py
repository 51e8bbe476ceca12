"""Tests of times as a calendar has them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import calendar_time, time_or_us

#: The last microsecond of the year 9999, of which the next year has no name.
LAST_US = 253_402_300_800_000_000 - 1


class TimesTests(SynchronousTestCase):
    """What has a name, and what has none."""

    def test_named(self) -> None:
        """Whatever has a name is written by it, in UTC."""
        self.assertEqual(time_or_us(0, datetime.isoformat), "1970-01-01T00:00:00+00:00")
        self.assertEqual(time_or_us(-1_000_000, datetime.isoformat), "1969-12-31T23:59:59+00:00")
        self.assertEqual(time_or_us(LAST_US, lambda at: f"{at:%Y}"), "9999")

    def test_nameless(self) -> None:
        """What has none is told in microseconds, whether the calendar or the zone is at its end."""
        for time_us in (LAST_US + 1, 2**63, -(2**63)):
            self.assertIsNone(calendar_time(time_us))
            self.assertEqual(time_or_us(time_us, datetime.isoformat), f"{time_us} us")

    def test_zone(self) -> None:
        """So is one to which this machine's zone gives no name."""

        def write(at: datetime) -> str:
            return at.astimezone(timezone(timedelta(hours=9))).isoformat()

        self.assertEqual(time_or_us(LAST_US, write), f"{LAST_US} us")
        self.assertEqual(time_or_us(0, write), "1970-01-01T09:00:00+09:00")
