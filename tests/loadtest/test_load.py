"""Tests of the load: joined with a real server in memory, on a virtual clock."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.client.joining import URL, JoinedEndpoint
from tests.fakes import media
from tests.joined import WALL_CLOCK_US, Joined, Peer
from vidlink.dialling.address import SENTINEL_PATH, Address
from vidlink.fmp4 import layout
from vidlink.loadtest import load as load_module
from vidlink.loadtest.film import Film
from vidlink.loadtest.load import MOST_LATE_SECONDS, Load
from vidlink.loadtest.plan import Place, Plan, Screen, shared_out
from vidlink.loadtest.sockets import MOST_WAITING_BYTES
from vidlink.loadtest.tally import Report
from vidlink.messages import KeyframeRequest, ProctorRegister, StartFrom, Subscribe
from vidlink.model import Segment

FILM = Film(
    media.init_segment(),
    media.TIMESCALE,
    tuple(media.segment(number)[layout.MOOF.size :] for number in range(10)),
)
STEP = 0.02


class IngestEndpoint(JoinedEndpoint):
    """Connects to the server's path for screens."""

    def connect(self, factory: Any) -> Any:
        """Connect, as an endpoint does."""
        if self.is_down:
            return super().connect(factory)
        return succeed(self.server.join(self.server.ingest, factory))


class LoadCase(SynchronousTestCase):
    """A server, and a load that speaks with it."""

    def setUp(self) -> None:
        """Make them."""
        self.server = Joined()
        self.clock = self.server.clock
        self.endpoints = {True: IngestEndpoint(self.server), False: JoinedEndpoint(self.server)}
        self.reports: list[Report] = []
        self.patch(load_module, "read_address", self.address)

    def address(self, text: str, clock: object, path: str, trust: object) -> Address:
        """The server, whatever its address."""
        return Address(self.endpoints[path == SENTINEL_PATH], URL, "http://127.0.0.1:8080")

    def plan(self, screens: int, proctors: int) -> Plan:
        """A plan for one process, at five frames a second."""
        many = [Screen(number, f"rehearsal-{number:03}") for number in range(screens)]
        place = Place("ws://127.0.0.1:8080")
        (plan,) = shared_out(place, many, proctors, 5_000, FILM, WALL_CLOCK_US, 1)
        return plan

    def load(self, screens: int = 3, proctors: int = 2) -> Load:
        """A load whose screens are registered."""
        load = Load(
            self.plan(screens, proctors),
            self.clock,
            lambda plain: self.reports.append(Report.of_plain(plain)),
        )
        load.connect()
        self.server.flush()
        return load

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.server.pass_time(seconds, STEP)

    def us(self, seconds: float) -> int:
        """The wall clock at this time of the virtual one."""
        return WALL_CLOCK_US + round(seconds * 1_000_000)

    def keyframes(self, proctor: Peer) -> list[bool]:
        """Of each segment in memory, if it is a keyframe."""
        proctor.say(Subscribe("rehearsal-000", StartFrom.OLDEST))
        self.server.flush()
        return [one.is_keyframe for one in proctor.heard if isinstance(one, Segment)]

    def newest(self, load: Load) -> Report:
        """The state of the load now."""
        load.report()
        return self.reports[-1]


class LoadTests(LoadCase):
    """A load without trouble."""

    def test_everything_comes(self) -> None:
        """Each screen sends at its rate, each segment comes to each proctor of its screen and is
        counted once; what is sent before and after is not."""
        load = self.load()
        self.assertEqual(self.newest(load).registered, 3)
        load.start(self.clock.seconds())
        self.pass_time(1.0)
        load.watch()
        self.pass_time(0.5)
        self.assertEqual(self.newest(load).watching, 6)
        begin = self.clock.seconds()
        load.measure(self.us(begin + 1), self.us(begin + 3))
        self.pass_time(4.0)
        report = self.newest(load)
        tally = report.tally
        self.assertEqual(report.failures, {})
        self.assertEqual(tally.sent, 3 * 5 * 2)
        self.assertEqual((tally.expected, tally.received), (60, 60))
        self.assertEqual((tally.skipped, tally.unsent, tally.missed), (0, 0, 0))
        self.assertEqual((tally.latency.count, tally.lateness.count), (60, 30))
        self.assertLess(tally.lateness.longest_us, 1_000_000 * STEP + 2)
        self.assertGreater(tally.received_bytes, 60 * min(map(len, FILM.samples)))

    def test_spread_over_the_interval(self) -> None:
        """Screens do not send at the same moment: each has its own, evenly over the interval."""
        load = self.load(screens=5, proctors=0)
        load.start(self.clock.seconds())
        self.pass_time(0.02)
        counts = []
        for _ in range(10):
            counts.append(self.server.hub.tally.segments)
            self.pass_time(0.04)
        self.assertEqual(counts, list(range(1, 11)))

    def test_server_takes_them(self) -> None:
        """For minutes, over many keyframes: sequences and media times are those of a session."""
        load = self.load(screens=2, proctors=1)
        load.start(self.clock.seconds())
        load.watch()
        self.pass_time(65)
        self.assertEqual(self.newest(load).failures, {})
        self.assertEqual(self.server.hub.tally.segments, 2 * 5 * 65)
        self.assertEqual(self.server.hub.tally.jumped, 0)

    def test_keyframe_on_request(self) -> None:
        """The next frame is a keyframe when one is asked for."""
        load = self.load(screens=1, proctors=0)
        load.start(self.clock.seconds())
        self.pass_time(0.7)
        proctor = self.server.proctor()
        proctor.say(ProctorRegister("test/1"))
        proctor.say(KeyframeRequest("rehearsal-000"))
        self.pass_time(1.0)
        # The first film is cut short, so that those of all screens are not in step.
        self.assertEqual(self.keyframes(proctor)[3:7], [False, True, False, False])

    def test_until(self) -> None:
        """What is measured may end earlier than was said."""
        load = self.load()
        load.start(self.clock.seconds())
        load.watch()
        self.pass_time(1.05)
        begin = self.clock.seconds()
        load.measure(self.us(begin), self.us(begin + 60))
        self.pass_time(1.0)
        load.until(self.us(begin + 1))
        self.pass_time(2.0)
        tally = self.newest(load).tally
        self.assertEqual((tally.sent, tally.received), (15, 30))

    def test_stop(self) -> None:
        """Everybody leaves in good order, and nothing goes on."""
        load = self.load()
        load.start(self.clock.seconds())
        load.watch()
        self.pass_time(1.0)
        stopped = load.stop()
        self.pass_time(0.5)
        self.successResultOf(stopped)
        self.assertEqual(self.server.links(), set())
        self.assertEqual(self.newest(load).failures, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TroubleTests(LoadCase):
    """A load with which not all is well."""

    def test_nobody_there(self) -> None:
        """Each connection that cannot be made is counted, by why."""
        for endpoint in self.endpoints.values():
            endpoint.is_down = True
        load = self.load()
        ((why, number),) = self.newest(load).failures.items()
        self.assertIn("cannot reach", why)
        self.assertEqual(number, 3)
        load.start(self.clock.seconds())
        self.pass_time(1.0)
        self.assertEqual(self.newest(load).registered, 0)

    def test_cut_off(self) -> None:
        """A connection that ends by itself is counted, and its screen sends no more."""
        load = self.load()
        load.start(self.clock.seconds())
        self.pass_time(1.0)
        self.server.ingest.going_away()
        self.pass_time(0.5)
        ((why, number),) = self.newest(load).failures.items()
        self.assertEqual(number, 3)
        self.assertIn("shutting down", why)
        sent = self.server.hub.tally.segments
        self.pass_time(1.0)
        self.assertEqual(self.server.hub.tally.segments, sent)

    def test_late(self) -> None:
        """How late a frame is sent is told; one that is later than is of use is left out."""
        load = self.load(screens=1, proctors=0)
        load.start(self.clock.seconds())
        self.pass_time(1.0)
        load.measure(self.us(self.clock.seconds()), self.us(self.clock.seconds() + 60))
        self.clock.pump([MOST_LATE_SECONDS + 2.0])
        self.server.flush()
        tally = self.newest(load).tally
        self.assertEqual(tally.missed, 10)
        self.assertGreater(tally.lateness.longest_us, 4_800_000)

    def test_server_takes_nothing(self) -> None:
        """As long as too much waits for the server nothing more is sent, and that is counted;
        then the film goes on with a keyframe."""
        load = self.load(screens=1, proctors=0)
        load.start(self.clock.seconds())
        self.pass_time(1.05)
        (screen,) = load._screens
        begin = self.clock.seconds()
        load.measure(self.us(begin), self.us(begin + 60))
        screen._backlog.pauseProducing()
        screen._backlog.wrote(MOST_WAITING_BYTES + 1)
        self.pass_time(1.0)
        self.assertEqual(self.newest(load).tally.unsent, 5)
        screen._backlog.resumeProducing()
        self.pass_time(1.0)
        self.assertEqual(self.newest(load).tally.sent, 5)
        proctor = self.server.proctor()
        proctor.say(ProctorRegister("test/1"))
        self.assertEqual(self.keyframes(proctor)[-5:], [True, False, False, False, False])
