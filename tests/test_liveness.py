"""Tests of whether a peer is there, and takes what it is sent."""

from __future__ import annotations

import socket
from functools import partial
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from vidlink.liveness import PING_SECONDS, Liveness, Uptake, Verdict, uptake
from vidlink.model import USUAL

FINE, ASK, SILENT, STUCK = Verdict.FINE, Verdict.ASK, Verdict.SILENT, Verdict.STUCK


class LivenessTests(SynchronousTestCase):
    """One peer, looked at once a second."""

    def setUp(self) -> None:
        """It has just come."""
        self.now = 1_000.0
        self.taken_bytes = 0
        self.is_behind = False
        self.has_left = False
        self.is_held = False
        self.peer = Liveness(self.now)

    def look(self, seconds: float, rate: int = 0, hears: bool = False) -> list[Verdict]:
        """What is found while time passes, FINE left out; it takes so many octets a second."""
        found = []
        for _ in range(round(seconds)):
            self.now += 1.0
            self.taken_bytes += rate
            if hears:
                self.peer.heard()
            see = partial(Uptake, self.taken_bytes, self.is_behind, self.has_left)
            found.append(self.peer.look(self.now, see, self.is_held))
        return [verdict for verdict in found if verdict is not FINE]

    def test_says_something(self) -> None:
        """One that says something now and then is not asked."""
        self.assertEqual(self.look(3_600, hears=True), [])

    def test_answers(self) -> None:
        """One that says nothing of itself is asked every ten seconds, and stays if it answers."""
        for _ in range(100):
            self.assertEqual(self.look(PING_SECONDS), [ASK])
            self.assertEqual(self.look(USUAL.pong_seconds), [])
            self.peer.heard()
            self.assertEqual(self.look(1), [])

    def test_does_not_answer(self) -> None:
        """One that does not answer within twenty seconds is not there, whatever its system goes
        on taking at once."""
        self.look(PING_SECONDS)
        self.assertEqual(self.look(USUAL.pong_seconds, rate=1_000), [])
        self.assertEqual(self.look(1), [SILENT])

    def test_half_open(self) -> None:
        """One whose system takes nothing any more is not there, although more waits for it."""
        self.look(PING_SECONDS)
        self.is_behind = True
        self.assertEqual(self.look(USUAL.pong_seconds), [])
        self.assertEqual(self.look(1), [SILENT])

    def test_answer_behind_what_waits(self) -> None:
        """While it goes on taking what was sent before the ping, its answer is not overdue."""
        self.look(PING_SECONDS)
        self.is_behind = True
        self.assertEqual(self.look(600, rate=1), [])
        self.assertEqual(self.look(USUAL.pong_seconds), [])
        self.assertEqual(self.look(1), [SILENT])

    def test_takes_nothing(self) -> None:
        """One that takes nothing for half a minute while our buffer is full is stuck; it is not
        pinged, and does not pass for silent before."""
        self.look(PING_SECONDS)
        self.is_behind = True
        self.peer.full(self.now)
        self.assertEqual(self.look(USUAL.socket_stall_seconds), [])
        self.peer.full(self.now)
        self.assertEqual(self.look(1), [STUCK])

    def test_takes_a_trickle(self) -> None:
        """One that takes an octet now and then is not stuck, however long our buffer is full."""
        self.is_behind = True
        self.peer.full(self.now)
        for _ in range(20):
            self.assertEqual(self.look(USUAL.socket_stall_seconds), [])
            self.taken_bytes += 1
            self.assertEqual(self.look(1), [])
        self.assertEqual(self.look(USUAL.socket_stall_seconds + 1), [STUCK])

    def test_what_it_says_does_not_count(self) -> None:
        """One that goes on talking and takes nothing is stuck all the same."""
        self.is_behind = True
        self.peer.full(self.now)
        self.assertEqual(self.look(USUAL.socket_stall_seconds + 1, hears=True), [STUCK])

    def test_held(self) -> None:
        """One that is held is pinged all the same, every ten seconds, and needs not answer; when
        it is read again, it has to, and has its time for that."""
        self.is_held = True
        self.assertEqual(self.look(100), [ASK] * 10)
        self.is_held = False
        self.assertEqual(self.look(PING_SECONDS), [])
        self.assertEqual(self.look(USUAL.pong_seconds + 1), [ASK])
        self.assertEqual(self.look(1), [SILENT])

    def test_held_and_dead(self) -> None:
        """One that is held, and whose system does not take the ping, is not there; however slow
        one takes it, it is."""
        self.is_held = True
        self.assertEqual(self.look(PING_SECONDS), [ASK])
        self.is_behind = True
        self.assertEqual(self.look(USUAL.pong_seconds, rate=1), [])
        self.assertEqual(self.look(USUAL.pong_seconds), [])
        self.assertEqual(self.look(1), [SILENT])

    def test_held_and_left(self) -> None:
        """One that has closed while it is held is not pinged: what it has sent is still to come."""
        self.is_held = self.has_left = True
        self.assertEqual(self.look(100), [])

    def test_held_and_full(self) -> None:
        """One that is held and takes nothing of what our buffer is full of is stuck as others."""
        self.is_held = self.is_behind = True
        self.peer.full(self.now)
        self.assertEqual(self.look(USUAL.socket_stall_seconds + 1), [STUCK])

    def test_held_by_it(self) -> None:
        """A peer that may hold us is there as long as it says anything, however full our buffer
        is; one that says nothing either is not."""
        self.peer = Liveness(self.now, is_held_by_it=True)
        self.is_behind = True
        self.peer.full(self.now)
        for _ in range(30):
            self.assertEqual(self.look(PING_SECONDS - 1), [])
            self.assertEqual(self.look(1, hears=True), [])
        self.assertEqual(self.look(USUAL.socket_stall_seconds), [])
        self.assertEqual(self.look(1), [STUCK])

    def test_empties_our_buffer(self) -> None:
        """Where the system tells nothing, a buffer that is emptied now and then will do."""
        for _ in range(5):
            self.peer.full(self.now)
            self.now += USUAL.socket_stall_seconds
            self.assertIs(self.peer.look(self.now, lambda: None), FINE)
            self.peer.emptied(self.now)
        self.peer.full(self.now)
        self.now += USUAL.socket_stall_seconds + 1
        self.assertIs(self.peer.look(self.now, lambda: None), STUCK)

    def test_pinged_after_it_was_full(self) -> None:
        """Once our buffer is empty again it is asked, and has its time to answer."""
        self.look(PING_SECONDS)
        self.is_behind = True
        self.peer.full(self.now)
        self.look(USUAL.socket_stall_seconds)
        self.peer.emptied(self.now)
        self.is_behind = False
        self.assertEqual(self.look(USUAL.pong_seconds), [])
        self.assertEqual(self.look(1), [SILENT])


class UptakeTests(SynchronousTestCase):
    """What the kernel tells of a connection; of a real one, see `tests.live`."""

    def test_nothing_to_tell(self) -> None:
        """A Unix socket, one that is closed, and a transport without one tell nothing."""
        one, other = socket.socketpair()
        self.assertIsNone(uptake(SimpleNamespace(socket=one)))
        one.close()
        other.close()
        self.assertIsNone(uptake(SimpleNamespace(socket=one)))
        self.assertIsNone(uptake(SimpleNamespace()))
