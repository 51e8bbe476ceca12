"""What a person reads and writes at the command line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import vidlink
from vidlink.commands import ls
from vidlink.errors import UserMistake
from vidlink.model import Cause, Gap, SentinelState, SkipReason
from vidlink.model.clips import stamp
from vidlink.terminal import words

NOON_US = int(datetime(2026, 7, 1, 12, 0, tzinfo=UTC).timestamp()) * 1_000_000


def words_of_the_page() -> dict[str, dict[str, str]]:
    """What ``words.js`` exports that is an object of texts, by name."""
    text = (Path(vidlink.__file__).parent / "page" / "words.js").read_text("utf-8")
    entry = re.compile(r'"?([a-z-]+)"?: "([^"]*)"')
    found = re.findall(r"export const ([A-Z_]+) = \{([^}]*)\}", text)
    return {name: dict(entry.findall(body)) for name, body in found}


def by_word(told: Mapping[Any, str]) -> dict[str, str]:
    """`told` by the words of the wire."""
    return {one.value: text for one, text in told.items()}


#: With and without summer time, of whole hours and not, and one that was changed by a day.
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "CEST-2")


class WordsTests(SynchronousTestCase):
    """Numbers and times."""

    def setUp(self) -> None:
        """A machine two hours east of Greenwich."""
        self.addCleanup(self.zone, os.environ.get("TZ"))
        self.zone("CEST-2")

    def zone(self, name: str | None) -> None:
        """Be there."""
        if name is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = name
        time.tzset()

    def test_numbers(self) -> None:
        """Short, with units."""
        self.assertEqual(
            [words.age(s) for s in (-1, 0.44, 12.4, 185)], ["0.0 s", "0.4 s", "12 s", "3 min 5 s"]
        )
        self.assertEqual(
            [words.rate(n) for n in (None, 5_000, 200, 2_500)], ["-", "5", "0.2", "2.5"]
        )

    def test_moments(self) -> None:
        """Times are shown by this machine's zone, with the offset, and in names by UTC."""
        self.assertEqual(words.moment(NOON_US), "2026-07-01 14:00:00+02:00")
        self.assertEqual(words.moment(None), "-")
        self.assertEqual(stamp(NOON_US), "20260701T120000Z")
        for far_us in (2**62, -(2**62)):
            self.assertIn(str(far_us), words.moment(far_us) + stamp(far_us))

    def test_read(self) -> None:
        """Times are read with a zone, by this machine's without one, and as microseconds."""
        for text in (
            "2026-07-01T12:00:00Z",
            "2026-07-01T14:00:00+02:00",
            "2026-07-01T14:00",
            "2026-07-01 14:00:00",
            str(NOON_US),
        ):
            self.assertEqual(words.read_moment(text, "--from"), NOON_US, text)
        day_us = NOON_US - 14 * 3_600_000_000
        self.assertEqual(words.read_moment("2026-07-01", "--from"), day_us)

    @given(st.integers(0, 2**52), st.sampled_from(ZONES))
    def test_said_and_read(self, time_us: int, zone: str) -> None:
        """What is shown is read as the same second, in any zone, in the hour that comes twice
        too."""
        self.zone(zone)
        shown = words.moment(time_us)
        self.assertEqual(words.read_moment(shown, "--to"), time_us - time_us % 1_000_000, shown)

    def test_hour_that_comes_twice(self) -> None:
        """A local time that comes twice is asked about, with both possibilities; each of them is
        taken as it stands, and they are an hour apart."""
        self.zone("Europe/Berlin")
        with self.assertRaises(UserMistake) as refused:
            words.read_moment("2026-10-25 02:30", "--from")
        said = str(refused.exception)
        self.assertIn("--from: by this machine's clock 2026-10-25 02:30 comes twice", said)
        first, second = re.findall(r"2026-10-25 02:30:00[+]0[12]:00", said)
        apart = words.read_moment(second, "--from") - words.read_moment(first, "--from")
        self.assertEqual((first[-6:], second[-6:], apart), ("+02:00", "+01:00", 3_600_000_000))
        for text in ("2026-10-25 01:59:59", "2026-10-25 03:00", "2026-10-25T02:30Z"):
            words.read_moment(text, "--from")

    def test_hour_that_never_comes(self) -> None:
        """A local time that never comes is asked about as well: an hour sooner, or an hour
        later."""
        self.zone("Europe/Berlin")
        with self.assertRaises(UserMistake) as refused:
            words.read_moment("2026-03-29 02:30", "--to")
        said = str(refused.exception)
        self.assertIn("2026-03-29 02:30 never comes", said)
        self.assertIn("say 2026-03-29 01:30:00+01:00 or 2026-03-29 03:30:00+02:00", said)
        # Half an hour, at two in the morning, on the other side of the world.
        self.zone("Australia/Lord_Howe")
        with self.assertRaisesRegex(UserMistake, "never comes"):
            words.read_moment("2026-10-04T02:15", "--to")

    def test_days_without_their_midnight(self) -> None:
        """A day begins with its first moment, whatever clocks do at midnight."""
        for zone, day, first in (
            ("Africa/Cairo", "2026-04-24", "2026-04-24 01:00:00+03:00"),
            ("America/Havana", "2026-11-01", "2026-11-01 00:00:00-04:00"),
            ("Europe/Berlin", "2026-10-25", "2026-10-25 00:00:00+02:00"),
        ):
            self.zone(zone)
            self.assertEqual(words.moment(words.read_moment(day, "--from")), first)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Anything else is a mistake that names the option."""
        try:
            words.read_moment(text, "--from")
        except UserMistake as mistake:
            self.assertIn("--from", str(mistake))

    def test_gaps(self) -> None:
        """A gap says what, when, for how long and why."""
        gap = Gap(7, 9, Cause.DISK_FULL, NOON_US, NOON_US + 600_000, "device full")
        self.assertEqual(
            words.gap_words(gap),
            "segments 7 to 9 are missing, 2026-07-01 14:00:00+02:00 for 0.6 s: "
            "the disk was full (device full)",
        )
        self.assertIn("segment 7 is missing", words.gap_words(Gap(7, 7, Cause.MISSING)))
        self.assertEqual(
            words.gap_words(Gap(None, None, Cause.SERVER_STOPPED, NOON_US)),
            "cut short, 2026-07-01 14:00:00+02:00: the server stopped",
        )
        self.assertEqual(
            words.gap_words(Gap(None, None, Cause.UNDELIVERED, NOON_US, NOON_US + 9_000_000)),
            "nothing is recorded, 2026-07-01 14:00:00+02:00 for 9.0 s: it never arrived",
        )

    def test_all_gaps(self) -> None:
        """What is missing of a session is one figure in segments and time, and of very many gaps
        the first are told one by one, the others by their cause."""
        self.assertEqual(words.missing_words([]), "none")
        gaps = [
            Gap(n * 10, n * 10 + 1, Cause.DISK_FULL, NOON_US, NOON_US + 400_000) for n in range(30)
        ]
        self.assertEqual(words.missing_words(gaps[:1]), "2 segments, 0.4 s in 1 gap")
        self.assertEqual(words.missing_words(gaps), "60 segments, 12 s in 30 gaps")
        stop = Gap(None, None, Cause.SERVER_STOPPED, NOON_US)
        self.assertEqual(words.missing_words([stop]), "the end in 1 gap")
        lines = words.gap_lines([*gaps, stop])
        self.assertEqual(len(lines), words.MOST_TOLD + 2)
        self.assertEqual(lines[-2], "and 20 segments, 4.0 s in 10 gaps more: the disk was full")
        self.assertEqual(lines[-1], "and the end in 1 gap more: the server stopped")

    def test_every_cause(self) -> None:
        """There are words for every cause and every reason."""
        self.assertTrue(all(cause.words for cause in Cause))
        self.assertEqual(set(words.SKIPPED), set(SkipReason))

    def test_page(self) -> None:
        """Whoever changes from the page to the command line is told the same in the same words."""
        page = words_of_the_page()
        self.assertEqual(page["CAUSES"], {cause.value: cause.words for cause in Cause})
        self.assertEqual(page["SKIPPED"], by_word(words.SKIPPED))
        for name, told in (("SESSION_STATES", ls.STATES), ("RECORDING_SHORT", ls.RECORDING)):
            lower = {key: word.lower() for key, word in page[name].items()}
            self.assertEqual(lower, {key: word.lower() for key, word in by_word(told).items()})
        self.assertLessEqual({state.value for state in SentinelState}, set(page["STATES"]))
        # Without a connection the page says that it does not know.
        self.assertEqual(set(page["RECORDING"]) - {"unknown"}, set(page["RECORDING_SHORT"]))

    def test_shown(self) -> None:
        """What a terminal would obey is not shown to it."""
        self.assertEqual(words.shown("a\x1b[2Jb"), "a\ufffd[2Jb")
