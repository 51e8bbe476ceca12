"""The Server's service: the order of starting and stopping, and faults that must not spread."""

from __future__ import annotations

import resource
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.fakes.gates import trail
from tests.fakes.store import MemoryStore
from tests.joined import Joined, Peer
from tests.server.health.test_collecting import FakeCollector
from vidlink.errors import StoreError
from vidlink.messages import Ack, ProctorRegister, SentinelRegister
from vidlink.model import InitSegment, Segment, SessionState
from vidlink.server.health.collecting import QUIET_SECONDS, Collecting
from vidlink.server.health.health import Health
from vidlink.server.service import (
    FAREWELL_SECONDS,
    HISTORY_SECONDS,
    TICK_SECONDS,
    ServerService,
    raise_descriptor_limit,
)

SESSION = "session-0000000001"


def fail() -> None:
    """A fault of ours."""
    raise ZeroDivisionError


class OpenStore(MemoryStore):
    """The store in memory, with the life of the real one; `life` is what became of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.life: list[str] = []
        self.fault: Exception | None = None

    def open(self) -> None:
        """Take the folder."""
        if self.fault is not None:
            raise self.fault
        self.life.append("open")

    def start(self) -> None:
        """Begin to write."""
        self.life.append("start")

    def stop(self) -> Deferred[None]:
        """End everything."""
        self.life.append("stop")
        return super().stop()


class Port(Service):
    """A port that says when it is open, in the life of the store."""

    def __init__(self, life: list[str]) -> None:
        self.life = life
        self.fault: Exception | None = None

    def privilegedStartService(self) -> None:
        """Listen."""
        if self.fault is not None:
            raise self.fault
        self.life.append("listen")

    def stopService(self) -> None:
        """Listen no more."""
        self.life.append("deaf")


class ServerCase(SynchronousTestCase):
    """A server with a port, not started yet."""

    def setUp(self) -> None:
        """Put it together."""
        self.joined = Joined()
        self.store = OpenStore(wall_clock_us=self.joined.wall_clock_us)
        self.joined.ingest.store = self.store
        self.port = Port(self.store.life)
        self.collector = FakeCollector()
        self.service = ServerService(
            self.joined.hub,
            self.store,
            Health(self.store, self.store, self.joined.hub, self.joined.clock.seconds),
            trail(self.mktemp(), self.joined.clock),
            self.joined.ingest,
            self.joined.watch,
            [self.port],
            self.joined.clock,
            collecting=Collecting(self.joined.clock.seconds, lambda: 0, self.collector),
        )

    def start(self) -> None:
        """Start it."""
        self.service.privilegedStartService()
        self.service.startService()

    def sentinel(self, sentinel_id: str = "desk-1", session_id: str = SESSION) -> Peer:
        """A Sentinel that has begun a session."""
        peer = self.joined.sentinel()
        peer.say(SentinelRegister(sentinel_id, "one", "test/1", session_id))
        peer.say(InitSegment(sentinel_id, session_id, media.init_segment()))
        start_us, data = media.start_time_us(0), media.segment(0)
        peer.say(Segment(sentinel_id, session_id, 0, start_us, 200, 5_000, True, data))
        self.joined.flush()
        return peer


class StartTests(ServerCase):
    """What is taken first, and what happens if it cannot be had."""

    def test_order(self) -> None:
        """The port is taken before the folder: a second server on the same port, by mistake,
        must not wait for the first one's folder."""
        self.start()
        self.assertEqual(self.store.life, ["listen", "open", "start"])

    def test_collector(self) -> None:
        """Python's collector is taken over at the start and given back at the end, and looks
        through all once in a while."""
        self.start()
        self.assertEqual(self.collector.did, ["collect", "freeze"])
        self.joined.clock.pump([TICK_SECONDS] * (int(QUIET_SECONDS) + 1))
        self.assertEqual(self.collector.did[2:], ["collect"])
        stopped = self.service.stopService()
        self.joined.clock.pump([FAREWELL_SECONDS] * 3)
        self.successResultOf(stopped)
        self.assertEqual(self.collector.callbacks, [])

    def test_descriptors(self) -> None:
        """As many are counted with as the process may have, and no more than are wanted."""
        for hard, counted in ((4_096, [64, 4_096]), (resource.RLIM_INFINITY, [64, 2**20])):
            limits = (1_024 if hard > 0 else hard, hard)
            self.patch(resource, "getrlimit", lambda kind, limits=limits: limits)
            self.patch(resource, "setrlimit", lambda kind, limits: None)
            self.assertEqual([raise_descriptor_limit(most) for most in (64, 2**20)], counted)

    def test_no_folder(self) -> None:
        """A folder that cannot be used ends the process with one line."""
        self.store.fault = StoreError("the index cannot be opened")
        self.service.privilegedStartService()
        ended = self.assertRaises(SystemExit, self.service.startService)
        self.assertEqual(ended.code, "twistd vidlink-server: the index cannot be opened")

    def test_no_port(self) -> None:
        """So does whatever cannot be listened on, and it is named."""
        for error, named in (
            (CannotListenError("127.0.0.1", 80, OSError(13, "no")), "127.0.0.1:80 ([Errno 13] no)"),
            (CannotListenError("", 80, OSError(13, "no")), "*:80"),
            (CannotListenError(None, b"/run/s", "Cannot acquire lock"), " /run/s (Cannot acquire"),
            (FileNotFoundError(2, "No such file or directory", "/nowhere/s"), "/nowhere/s"),
        ):
            self.port.fault = error
            ended = self.assertRaises(SystemExit, self.service.privilegedStartService)
            self.assertIn(named, str(ended.code))
            self.assertIn("--listen", str(ended.code))
            self.assertNotIn("\n", str(ended.code))


class StopTests(ServerCase):
    """Everybody is told, and everything received is recorded."""

    def test_order(self) -> None:
        """No newcomers, then 1001 to everybody, then the store, with every session ended."""
        self.start()
        sentinel, proctor = self.sentinel(), self.joined.proctor()
        proctor.say(ProctorRegister("test/1"))
        self.joined.flush()
        stopped = self.service.stopService()
        self.joined.flush()
        self.assertEqual(self.store.life[-1], "deaf")
        self.joined.pass_time(0.1, 0.01)
        self.successResultOf(stopped)
        self.assertEqual(self.store.life[-2:], ["deaf", "stop"])
        for peer in (sentinel, proctor):
            self.assertEqual(peer.remoteCloseCode, 1001)
        record = self.successResultOf(self.store.session("desk-1", SESSION))
        self.assertIs(record.state, SessionState.ENDED)
        self.assertEqual(record.end_reason, "going-away")

    def test_peers_that_stay(self) -> None:
        """Peers that do not close are not waited for longer than a second."""
        self.start()
        self.sentinel()
        self.joined.pumps.clear()
        stopped = self.service.stopService()
        self.joined.clock.pump([0.02] * round(FAREWELL_SECONDS / 0.02 - 2))
        self.assertNoResult(stopped)
        self.assertNotIn("stop", self.store.life)
        self.joined.clock.pump([0.02] * 4)
        self.successResultOf(stopped)
        self.assertEqual(self.store.life[-1], "stop")

    def test_fault_in_the_farewell(self) -> None:
        """A fault of ours in one farewell costs that peer its connection; the others are told,
        and the store is closed."""
        self.start()
        peers = [self.sentinel(f"desk-{n}", f"session-000000000{n}") for n in range(3)]
        faulty = next(iter(self.joined.ingest.links))
        faulty.conversation.going_away = fail  # type: ignore[method-assign]
        stopped = self.service.stopService()
        self.joined.pass_time(0.1, 0.01)
        self.successResultOf(stopped)
        self.assertEqual(self.store.life[-1], "stop")
        codes = sorted(str(peer.remoteCloseCode) for peer in peers)
        self.assertEqual(codes, ["1001", "1001", "None"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TickTests(ServerCase):
    """What is done once a second."""

    def say_segment(self, peer: Peer, number: int, sequence: int) -> None:
        """Send a segment as the Sentinel of that number."""
        peer.say(
            Segment(
                f"desk-{number}",
                f"session-000000000{number}",
                sequence,
                media.start_time_us(sequence),
                media.FRAME_MS,
                5_000,
                media.is_keyframe(sequence),
                media.segment(sequence),
            )
        )

    def test_deleted_sentinels(self) -> None:
        """The recording is asked now and then whom it knows: who is offline, and of whom nothing is
        left there, is not listed any more."""
        self.start()
        self.sentinel("desk-0", "session-0000000000").sendClose()
        self.joined.flush()
        self.joined.clock.advance(2 * TICK_SECONDS)
        listed = [row.sentinel_id for row in self.joined.hub.statuses()]
        self.assertEqual(listed, ["desk-0"])
        self.store._kept.clear()
        for _ in range(12):
            self.joined.clock.advance(HISTORY_SECONDS / 10)
        self.assertEqual(self.joined.hub.statuses(), ())

    def test_fault_in_the_list(self) -> None:
        """A fault of ours in the list does not keep Sentinels from being told what is recorded,
        nor the next tick from coming."""
        self.start()
        peer = self.sentinel("desk-0", "session-0000000000")
        self.joined.hub.tick = fail  # type: ignore[method-assign]
        for sequence in range(3):
            self.say_segment(peer, 0, sequence)
            self.joined.flush()
            self.joined.clock.advance(TICK_SECONDS)
            self.joined.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual([m.sequence for m in peer.heard if isinstance(m, Ack)], [0, 1, 2])

    def test_fault_in_a_tick(self) -> None:
        """A fault of ours while one Sentinel is told what is recorded ends its connection; the
        others are told, then and for ever after."""
        self.start()
        peers = [self.sentinel(f"desk-{n}", f"session-000000000{n}") for n in range(3)]
        faulty = next(iter(self.joined.ingest.links))
        faulty.conversation.tick = fail  # type: ignore[method-assign]
        for sequence in range(2):
            for number, peer in enumerate(peers):
                if peer.closed is None:
                    self.say_segment(peer, number, sequence)
            self.joined.flush()
            self.joined.clock.advance(TICK_SECONDS)
            self.joined.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        acked = [[ack.sequence for ack in peer.heard if isinstance(ack, Ack)] for peer in peers]
        self.assertEqual(sorted(acked), [[], [0, 1], [0, 1]])
        self.assertEqual(len(self.joined.ingest.links), 2)
