"""Tests of what processes are told and say, and of what screens show."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.fmp4 import IDR, read_init, split_avc, unit_type
from vidlink.loadtest.film import Film
from vidlink.loadtest.page import SIZE, shoot
from vidlink.loadtest.plan import STREAMS, Place, Plan, Screen, shared_out
from vidlink.loadtest.spread import Spread
from vidlink.loadtest.tally import Report, Tally
from vidlink.loadtest.trial import Wish

FILM = Film(b"init", 90_000, (b"key", b"p"))


def shared(screens: int, proctors: int, processes: int) -> list[Plan]:
    """The plans of so many processes."""
    many = [Screen(number, f"rehearsal-{number}", "a token") for number in range(screens)]
    return shared_out(Place("wss://h", "ca.pem"), many, proctors, 5_000, FILM, 17, processes)


class PlanTests(SynchronousTestCase):
    """Screens and proctors, shared out among processes."""

    @given(st.integers(1, 100), st.integers(0, 12), st.integers(1, 4))
    def test_shared_out(self, screens: int, proctors: int, processes: int) -> None:
        """Each screen and each proctor is in one process; a proctor watches thirty screens, or
        all if there are fewer, each once; and of each screen it is known how many watch it."""
        plans = shared(screens, proctors, processes)
        everybody = [screen.number for plan in plans for screen in plan.screens]
        self.assertEqual(sorted(everybody), list(range(screens)))
        watched = [ids for plan in plans for ids in plan.proctors]
        self.assertEqual(len(watched), proctors)
        for ids in watched:
            self.assertEqual(len(set(ids)), len(ids))
            self.assertEqual(len(ids), min(STREAMS, screens))
        for plan in plans:
            for screen, viewers in zip(plan.screens, plan.viewers, strict=True):
                said = sum(screen.sentinel_id in ids for ids in watched)
                self.assertEqual(said, viewers)

    def test_next_to_each_other(self) -> None:
        """Proctors begin where the one before them ends, so that all screens are watched as long
        as there are enough proctors."""
        (plan,) = shared(90, 3, 1)
        self.assertEqual(set(plan.viewers), {1})

    def test_told(self) -> None:
        """A plan and a report are the same when they have gone through JSON."""
        for plan in shared(3, 2, 2):
            self.assertEqual(Plan.of_plain(json.loads(json.dumps(plan.plain()))), plan)
        tally = Tally(sent=3, slowest_us=9)
        tally.latency.add(5)
        report = Report(1, 0.5, 2, {"why": 3}, 1.5, tally)
        again = Report.of_plain(json.loads(json.dumps(report.plain())))
        self.assertEqual(again.plain(), report.plain())

    def test_merged(self) -> None:
        """Tallies add up; the slowest is the slowest of all."""
        spread = Spread()
        spread.add(7)
        one, other = Tally(sent=1, slowest_us=9, queue_ratio=0.1), Tally(sent=2, slowest_us=4)
        other.latency, other.queue_ratio = spread, 0.3
        one.merge(other)
        self.assertEqual((one.sent, one.slowest_us, one.latency.count), (3, 9, 1))
        self.assertEqual(one.queue_ratio, 0.3)


class WishTests(SynchronousTestCase):
    """A load that is wished for."""

    def test_ids(self) -> None:
        """Ids have as many digits as the last one takes, and at least three."""
        self.assertEqual(Wish(2, 5, 0, 60).ids, ["rehearsal-001", "rehearsal-002"])
        self.assertEqual(Wish(1_000, 5, 0, 60).ids[::999], ["rehearsal-0001", "rehearsal-1000"])

    def test_processes(self) -> None:
        """A core is left for the server, and no more processes are taken than carry the load."""
        small, large = Wish(20, 5, 2, 60), Wish(1_000, 5, 50, 60)
        self.assertEqual([small.processes(cores) for cores in (1, 2, 8)], [1, 1, 1])
        self.assertEqual([large.processes(cores) for cores in (1, 2, 4, 64)], [1, 1, 3, 5])

    def test_recorded_bytes(self) -> None:
        """More than is recorded in the time that is measured, by what is sent around it."""
        wish = Wish(60, 5, 0, 40)
        self.assertEqual(wish.recorded_bytes(FILM), 60 * 5 * (40 + 20 + 1) * (2 + 300))


class FilmTests(SynchronousTestCase):
    """What screens show."""

    def test_like_a_screen(self) -> None:
        """Real H.264 of a full screen: one keyframe of the size that such have, and then frames
        that are far smaller on the whole."""
        film = shoot(1.0)
        info = read_init(film.init)
        self.assertEqual((info.width, info.height), SIZE)
        self.assertEqual(len(film.samples), 10)
        units = [{unit_type(unit) for unit in split_avc(sample)} for sample in film.samples]
        self.assertEqual([IDR in types for types in units], [True] + [False] * 9)
        key, *others = map(len, film.samples)
        self.assertTrue(60_000 < key < 300_000, key)
        self.assertLess(sum(others) / 9, key / 5)
        self.assertEqual(Film.of_plain(json.loads(json.dumps(film.plain()))), film)
