"""Tests of the verdict: what fits, what does not, what cannot be said, and what breaks first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.loadtest.findings import FOUND, SETTINGS, spread, turned
from vidlink.loadtest import telling
from vidlink.loadtest.verdict import MOST_TIMES, Findings, Outcome, judge


def told(found: Findings) -> str:
    """The verdict as a person reads it."""
    return "\n".join(telling.lines(found, judge(found)))


class OutcomeTests(SynchronousTestCase):
    """The verdict in a word."""

    def assert_blamed(self, why: str, **wishes: Any) -> None:
        """It does not fit, for one reason, which is told; and the status says so."""
        verdict = judge(turned(**wishes))
        self.assertEqual((verdict.outcome, verdict.status), (Outcome.DOES_NOT_FIT, 2), wishes)
        (blame,) = verdict.blames
        self.assertIn(why, blame)
        self.assertIn(f"  - {blame}", told(turned(**wishes)))

    def test_fits(self) -> None:
        """All is well, and nothing is doubted."""
        verdict = judge(FOUND)
        self.assertEqual((verdict.outcome, verdict.status), (Outcome.FITS, 0))
        self.assertEqual((verdict.blames, verdict.doubts), ((), ()))
        self.assertTrue(
            told(FOUND).startswith(
                "100 screens at 5 frames a second with 5 proctors of 30 screens each: it fits.\n"
            )
        )

    def test_does_not_fit(self) -> None:
        """Each promise that is broken is named with its figure."""
        self.assert_blamed("only 97 of 100 screens", registered=97)
        self.assert_blamed("3 connections failed: no room", failures={"no room": 3})
        self.assert_blamed("85 % of one core", cpu_seconds=8.5)
        self.assert_blamed("took longer than 300 ms", slowest_us=300_000)
        self.assert_blamed("8 of 7,500 segments", received=7_492)
        self.assert_blamed("3 segments could not be sent", unsent=3)
        self.assert_blamed("3 recordings did not reach the disk", troubled=3)
        self.assert_blamed("7 segments were not recorded", lost=7)
        self.assert_blamed("full to 20 %", queue_ratio=0.2)
        self.assert_blamed("until segments were on the disk", durable_seconds=10.0)
        self.assert_blamed("until segments were on the disk", durable_seconds=float("inf"))

    def test_just_fits(self) -> None:
        """What is within each bound is not held against it."""
        within: dict[str, Any] = {
            "cpu_seconds": 7.9,
            "slowest_us": 250_000,
            "received": 7_493,
            "queue_ratio": 0.12,
            "durable_seconds": 5.0,
        }
        self.assertIs(judge(turned(**within)).outcome, Outcome.FITS)

    def test_load_too_slow(self) -> None:
        """Where the load did not keep its pace nothing is said of the server, good or bad."""
        for wishes in (
            {"lateness": spread(1, 80)},
            {"missed": 100},
            {"sent": 0, "expected": 0, "received": 0},
        ):
            for more in ({}, {"slowest_us": 900_000}):
                verdict = judge(turned(**wishes, **more))
                self.assertEqual((verdict.outcome, verdict.status), (Outcome.CANNOT_SAY, 3))
                self.assertIn("Run it again", told(turned(**wishes, **more)))

    def test_others(self) -> None:
        """Other programs on the machine take the blame from the server; what fits beside them,
        fits, with a word about it."""
        busy = {"others_share": 0.6}
        self.assertIs(judge(turned(slowest_us=900_000, **busy)).outcome, Outcome.CANNOT_SAY)
        self.assertIs(judge(turned(**busy)).outcome, Outcome.FITS)
        self.assertIn("? other programs took 60 % of the processors", told(turned(**busy)))
        self.assertIs(judge(turned(others_share=None)).outcome, Outcome.FITS)


class LimitsTests(SynchronousTestCase):
    """All that would break, and at which size."""

    def times(self, found: Findings) -> dict[str, float]:
        """At how many times the load each limit is, by its words."""
        return {limit.what: round(limit.times, 3) for limit in judge(found).limits}

    def test_arithmetic(self) -> None:
        """Each is in proportion to what was measured."""
        self.assertEqual(
            self.times(FOUND),
            {
                "80 % of one core": 4.0,
                "half of the 100 MB/s that the disk took": 10.0,
                # 7.5 MB/s out, and more with what carries them.
                "a network of 1 Gbit/s": round(0.9e9 / (7.5e6 * 8 * 1.05), 3),
                "the 20,000 descriptors of a process": round(20_000 * 7 / 8 / 310, 3),
                "the 5,000 sentinels of --limit sentinels": 50.0,
                # 20 s and back to a keyframe, of 5 MB/s.
                "the 2.0 GB of --buffer-total-bytes, above which less than 20 s of each screen "
                "are kept in memory": round(2_000 / 150, 3),
                # The process without its buffers, and these full.
                "the 8.0 GB of memory that were free": 32.0,
            },
        )

    def test_first_to_break(self) -> None:
        """The first is told first, with screens and proctors in two digits; what is beyond ten
        times is not foretold."""
        lines = told(FOUND).splitlines()
        first = lines.index(
            "First to break: 80 % of one core, at about 400 screens and 20 proctors."
        )
        self.assertNotIn("5,000 sentinels", "\n".join(lines[first:]))
        self.assertIn("in proportion to what was measured", lines[-1])
        quiet = turned(
            cpu_seconds=0.1, sent_bytes=1_000, received_bytes=1_000, recorded_bytes=1_000,
            descriptors=20.0,
        )  # fmt: skip
        self.assertIn("Nothing would break up to 10 times that", told(quiet))

    def test_broken_already(self) -> None:
        """What does not fit breaks at less than was tried."""
        self.assertIn("First to break: 80 % of one core, at about 88 screens", told(
            turned(cpu_seconds=9.0)
        ))  # fmt: skip

    def test_disk_was_busy(self) -> None:
        """A disk that took less when it was tried than it has kept up with was busy then, which is
        told, and nothing is foretold by it; one that has not kept up is the first to break."""
        disturbed = turned(disk_rate=9e6)
        self.assertNotIn("the disk took", told(disturbed))
        self.assertIn("9.0 MB/s that it takes in one go (when that was tried", told(disturbed))
        slow = turned(disk_rate=9e6, durable_seconds=10.0)
        self.assertIn("First to break: half of the 9.0 MB/s that the disk took", told(slow))

    def test_not_known(self) -> None:
        """Of a server somewhere else only what it says itself is reckoned with."""
        known = self.times(turned(disk_rate=None, available_bytes=None, settings=None))
        self.assertEqual(len(known), 3)
        silent = turned(has_process=False, cpu_seconds=0.0, disk_rate=None, settings=None)
        self.assertEqual(list(self.times(silent)), ["a network of 1 Gbit/s"])
        self.assertNotIn("processor", told(silent))

    def test_nothing_measured(self) -> None:
        """Without a single segment there is nothing to reckon with."""
        self.assertEqual(judge(turned(sent=0, expected=0, received=0)).limits, ())

    @given(st.floats(0.01, 9.99), st.integers(1, 5_000), st.integers(0, 1_000), st.floats(1, 1e9))
    def test_honest(self, cpu: float, screens: int, proctors: int, disk_rate: float) -> None:
        """Whatever was measured, nothing is foretold beyond ten times of it, and no size above
        what it was reckoned to."""
        found = turned(
            cpu_seconds=cpu, screens=screens, proctors=proctors, disk_rate=disk_rate,
            settings=SETTINGS,
        )  # fmt: skip
        plain = telling.plain(found, judge(found))
        for limit, near in zip(plain["limits"], judge(found).limits, strict=False):
            self.assertLessEqual(limit["screens"], screens * min(near.times, MOST_TIMES))
            self.assertGreaterEqual(limit["screens"], int(screens * near.times * 0.9) - 1)


class TellingTests(SynchronousTestCase):
    """The verdict for a person, and for a program."""

    def test_lines(self) -> None:
        """Every figure has its row."""
        text = told(FOUND)
        for part in (
            "the server used 20 % of one core, 160 us a message",
            "200 MB, of which 100 MB are",
            "within 12 ms, half within 2.0 ms, all within 12 ms",
            "all of 7,500 came",
            "5.0 MB/s recorded of 100 MB/s",
            "on it within 1 s, and acknowledged within 900 ms",
            "42.0 Mbit/s into the server, 63.0 Mbit/s out of it",
            "100 registered in 0.4 s, and sent 5,000 segments of 10.0 kB",
            "at 10 % of one core; other programs took 5.0 % of all cores",
        ):
            self.assertIn(part, text)
        self.assertIn("3 of 7,500 did not come (2 were skipped)", told(
            turned(received=7_497, skipped=2)
        ))  # fmt: skip

    def test_without_proctors(self) -> None:
        """Nobody watches: nothing is said of what is live."""
        alone = turned(proctors=0, expected=0, received=0, received_bytes=0, slowest_us=0)
        self.assertTrue(told(alone).startswith("100 screens at 5 frames a second: it fits."))
        self.assertNotIn("proctor", told(alone).replace("screens and proctors grow", ""))

    def test_documented(self) -> None:
        """Each field of the object stands on the page, and no other."""
        page = (Path(__file__).parents[2] / "docs/guide/rehearse.md").read_text("utf-8")
        table = page.partition("## For programs")[2].partition("\n## ")[0]
        rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
        fields = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        self.assertEqual(sorted(fields), sorted(telling.plain(FOUND, judge(FOUND))))

    def test_plain(self) -> None:
        """The object has the same, and JSON can say it, also what has no end."""
        plain = telling.plain(FOUND, judge(FOUND))
        self.assertEqual(plain["verdict"], "fits")
        self.assertEqual(plain["coreShare"], 0.2)
        self.assertEqual(plain["latency"], {"half": 0.002047, "99": 0.012, "longest": 0.012})
        self.assertEqual(
            plain["limits"][0], {"what": "80 % of one core", "screens": 400, "proctors": 20}
        )
        endless = turned(durable_seconds=float("inf"))
        said = json.dumps(telling.plain(endless, judge(endless)), allow_nan=False)
        self.assertEqual(json.loads(said)["verdict"], "does-not-fit")
