"""Tests of the writer's thread: a real one, waited for and never slept for."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, Queue
from threading import enumerate as all_threads
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.store.rig import Rig, at_once
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.model import SegmentQuery, SessionState
from vidlink.store import RecordingStore
from vidlink.store.handover.inbox import Inbox

#: Nothing here takes a hundredth of it.
PATIENCE_SECONDS = 30


class InboxTests(SynchronousTestCase):
    """What wakes the writer."""

    def test_few_wake(self) -> None:
        """The first order of a round wakes it, and the one with which there is enough for one; not
        what comes between, nor what comes after, which is in that round or in the next."""
        inbox, woken = self.inbox_of(100)
        for _ in range(2):
            woken.clear()
            for sequence in range(6):
                inbox.put(an_arrival(a_session(), sequence), 30)
            self.assertEqual(woken, [1, 4])
            self.assertEqual(len(inbox.drain()), 6)

    def test_awaited(self) -> None:
        """An order that somebody waits for wakes it, and ends its pause, however little there is;
        the pause after that is as long as ever."""
        inbox, woken = self.inbox_of(100)
        for sequence, is_awaited in enumerate((False, False, True, True, False)):
            inbox.put(an_arrival(a_session(), sequence), is_awaited=is_awaited)
        self.assertEqual(woken, [1, 3])
        # It would be waited for all the time that a test has.
        inbox.wait(None, 2 * PATIENCE_SECONDS, 100)
        self.assertEqual(len(inbox.drain()), 5)
        inbox.put(an_arrival(a_session(), 9))
        self.assertEqual(woken, [1, 3, 1])

    def test_half_a_pause(self) -> None:
        """The pause before a round is half as long if a session begins, and as long as ever after
        that."""
        inbox, _ = self.inbox_of(100)
        waited: list[float] = []

        def wait_for(is_over: Callable[[], bool], seconds: float | None) -> bool:
            if not is_over() and seconds is not None:
                waited.append(seconds)
            return is_over()

        self.patch(inbox._condition, "wait_for", wait_for)
        for is_beginning in (True, False):
            inbox.put(an_arrival(a_session(), 0), is_beginning=is_beginning)
            inbox.put(an_arrival(a_session(), 1))
            inbox.wait(None, 2.0, 100)
            inbox.drain()
        self.assertEqual(waited, [1.0, 1.0, 1.0])

    def inbox_of(self, due_bytes: int) -> tuple[Inbox, list[int]]:
        """One with so much for a round, and how many orders there were when it woke somebody."""
        inbox, woken = Inbox(), list[int]()
        inbox.wait(0.0, 0.0, due_bytes)
        self.patch(inbox._condition, "notify", lambda: woken.append(len(inbox._orders)))
        return inbox, woken


class ThreadTests(SynchronousTestCase):
    """A store with its thread; this test is the reactor."""

    def setUp(self) -> None:
        """A store that writes by itself."""
        self.path = self.mktemp()
        self.calls: Queue[Any] = Queue()
        self.store = RecordingStore(
            self.path,
            monotonic=time.monotonic,
            wall_clock_us=lambda: EPOCH_US,
            call_in_reactor=lambda *call: self.calls.put(call),
            run_in_pool=at_once,
        )
        self.store.open()
        self.store.start()
        self.addCleanup(lambda: self.turn_until(self.store.stop()))

    def turn(self) -> None:
        """One call from another thread is made."""
        try:
            work, *arguments = self.calls.get(timeout=PATIENCE_SECONDS)
        except Empty:
            self.fail("the writer's thread has nothing to say")
        work(*arguments)

    def turn_until(self, done: Deferred[Any]) -> None:
        """Calls are made until `done` has fired."""
        while not done.called:
            self.turn()

    def test_by_itself(self) -> None:
        """What is handed over becomes durable without anybody doing anything."""
        session = a_session()
        durable: list[int] = []
        self.store.ledger.begin(session, durable.append)
        for sequence in range(5):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        while not durable or durable[-1] < 4:
            self.turn()
        self.store.ledger.append(session.session_id, an_arrival(session, 5))
        while durable[-1] < 5:
            self.turn()
        page = self.successResultOf(
            self.store.archive.segments("desk-1", session.session_id, SegmentQuery())
        )
        self.assertEqual({segment.is_durable for segment in page.segments}, {True})

    def test_stop(self) -> None:
        """A stop writes everything, ends every session, ends the thread, and lets the folder
        go."""
        sessions = [a_session(number) for number in range(20)]
        durable: list[int] = []
        for session in sessions:
            self.store.ledger.begin(session, durable.append)
            self.store.ledger.append(session.session_id, an_arrival(session, 0))
        stopped = self.store.stop()
        self.turn_until(stopped)
        self.successResultOf(stopped)
        self.assertEqual(durable, [0] * 20)
        for thread in all_threads():
            if thread.name == "vidlink-writer":
                thread.join(PATIENCE_SECONDS)
                self.assertFalse(thread.is_alive())
        rig = Rig(self.path)
        self.addCleanup(rig.close)
        for session in sessions:
            shown = self.successResultOf(rig.store.archive.session("desk-1", session.session_id))
            self.assertEqual((shown.state, shown.segment_count), (SessionState.ENDED, 1))
            self.assertEqual(shown.gaps, ())

    def test_callback_that_fails(self) -> None:
        """An acknowledgement that fails is logged, and holds up nobody else."""

        def bad(sequence: int) -> None:
            raise ValueError("no")

        durable: list[int] = []
        for number, callback in enumerate((bad, durable.append)):
            session = a_session(number)
            self.store.ledger.begin(session, callback)
            self.store.ledger.append(session.session_id, an_arrival(session, 0))
        while not durable:
            self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
