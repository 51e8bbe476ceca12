"""Tests of the course of a load test, with processes that do as a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import VidlinkError
from vidlink.loadtest.course import READY_SECONDS, Course, LoadProcess, Measured, last_line
from vidlink.loadtest.film import Film
from vidlink.loadtest.plan import Place, Plan, Screen
from vidlink.loadtest.tally import Report, Tally

PLAN = Plan(
    place=Place("ws://127.0.0.1:8080"),
    count=2,
    screens=[Screen(0, "rehearsal-001"), Screen(1, "rehearsal-002")],
    viewers=[1, 1],
    proctors=[["rehearsal-001", "rehearsal-002"]],
    framerate_mhz=5_000,
    film=Film(b"init", 90_000, (b"key", b"p")),
    zero_us=1_000_000_000,
)
FIGURES = "process_cpu_seconds_total 1.0\n"


class FakeLoad(LoadProcess):
    """A process that registers and watches at once, and has sent two segments when asked."""

    def __init__(self) -> None:
        super().__init__(PLAN)
        self.orders: list[tuple[object, ...]] = []
        self.let_in, self.failures = 2, {"no room": 1}

    def order(self, word: str, *values: object) -> None:
        """Do it."""
        self.orders.append((word, *values))
        tally = Tally(sent=2, expected=4, received=4) if word == "report" else Tally()
        watching = 2 if any(order[0] == "watch" for order in self.orders) else 0
        self.report = Report(self.let_in, 0.5, watching, self.failures, 1.0, tally)


class CourseTests(SynchronousTestCase):
    """The course of a load test."""

    def setUp(self) -> None:
        """Begin one."""
        self.clock, self.load = Clock(), FakeLoad()
        self.asked = 0
        self.shown: list[str] = []
        self.server_error: VidlinkError | None = None
        course = Course(
            [self.load],
            [PLAN],
            self.clock,
            self.figures,
            self.check,
            lambda line: self.shown.append(line()),
            is_here=True,
        )
        self.begin: Callable[[float], Deferred[Measured]] = lambda seconds: Deferred.fromCoroutine(
            course.run(seconds)
        )

    async def figures(self) -> str:
        """The server's figures."""
        self.asked += 1
        return FIGURES

    def check(self) -> None:
        """See that the server is there."""
        if self.server_error is not None:
            raise self.server_error

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([0.05] * round(seconds / 0.05))

    def test_whole(self) -> None:
        """Screens come before proctors, and then it is measured for as long as was said; the
        server is asked twice."""
        running = self.begin(3.0)
        self.pass_time(12)
        measured = self.successResultOf(running)
        words = [order[0] for order in self.load.orders]
        self.assertEqual(words, ["connect", "start", "watch", "measure", "report"])
        _, begin_us, end_us = self.load.orders[3]
        assert isinstance(begin_us, int)
        self.assertEqual(end_us, begin_us + 3_000_000)
        self.assertGreater(begin_us, PLAN.zero_us)
        self.assertEqual((measured.seconds, measured.tally.sent), (3.0, 2))
        self.assertEqual((measured.registered, measured.failures), (2, {"no room": 1}))
        self.assertEqual(self.asked, 2)
        self.assertTrue(any("3 s left" in line for line in self.shown))

    def test_many_screens(self) -> None:
        """Proctors come when the last screen has begun, however long that takes."""
        course = Course(
            [self.load],
            [replace(PLAN, count=6_000)],
            self.clock,
            self.figures,
            self.check,
            lambda line: None,
            is_here=True,
        )
        self.load.let_in = 6_000
        Deferred.fromCoroutine(course.run(3.0)).addErrback(lambda _: None)
        self.pass_time(99)
        self.assertEqual([order[0] for order in self.load.orders], ["connect", "start"])
        self.pass_time(3)
        self.assertIn("watch", [order[0] for order in self.load.orders])

    def test_cancelled_while_measuring(self) -> None:
        """A cancellation ends it, with what was measured by then."""
        running = self.begin(600.0)
        while not any(order[0] == "measure" for order in self.load.orders):
            self.pass_time(0.5)
        self.pass_time(2)
        running.cancel()
        self.pass_time(5)
        measured: Any = self.successResultOf(running)
        self.assertTrue(1 < measured.seconds < 4, measured.seconds)
        self.assertIn("until", [order[0] for order in self.load.orders])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_before(self) -> None:
        """There is nothing to say before anything is measured."""
        running = self.begin(3.0)
        self.pass_time(1)
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def test_nobody_let_in(self) -> None:
        """When no screen is let in, the reason is told; they are waited for only so long."""
        self.load.let_in = 0
        running = self.begin(3.0)
        self.pass_time(READY_SECONDS + 1)
        error = self.failureResultOf(running, VidlinkError).value
        self.assertEqual(str(error), "no screen was let in: no room")

    def test_server_ends(self) -> None:
        """When the server ends it is over, and it is said why."""
        running = self.begin(30.0)
        self.pass_time(6)
        self.server_error = VidlinkError("the server has ended: killed")
        self.pass_time(1)
        self.failureResultOf(running, VidlinkError)

    def test_load_ends(self) -> None:
        """So it is when a process of the load does, whose last line says why."""
        running = self.begin(30.0)
        self.pass_time(6)
        self.load.errReceived(b"Traceback\nMemoryError\n")
        self.load.processEnded(None)
        self.pass_time(1)
        error = self.failureResultOf(running, VidlinkError).value
        self.assertEqual(str(error), "a process of the load has ended: MemoryError")
        self.assertEqual(last_line(b""), "it did not say why")

    def test_reports_in_pieces(self) -> None:
        """A report that comes in pieces is read when it is whole; the newest counts."""
        load = LoadProcess(PLAN)
        load.outReceived(b'{"registered": 1, "register')
        self.assertIsNone(load.report)
        rest = (
            b'_seconds": 0.5, "watching": 0, "failures": {}, "cpu_seconds": 1, "tally": {}}\n'
            b'{"registered": 2, "register_seconds": 0.5, "watching": 0, "failures": {}, '
            b'"cpu_seconds": 1, "tally": {}}\n{"regi'
        )
        load.outReceived(rest)
        assert load.report is not None
        self.assertEqual(load.report.registered, 2)
