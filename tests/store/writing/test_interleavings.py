"""Tests of any order of events: what is acknowledged is there, whatever happens around it."""

from __future__ import annotations

import errno
import os
import random
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.recorded import folder_of, stored
from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival
from vidlink.model import SegmentQuery, Session
from vidlink.store.writing.writer import RETRY_SECONDS

#: What may happen: the next segments of a session, with or without a hole before them; one
#: that fills a hole; a round that goes well or fails in some way; time; the end of a session,
#: and its being opened again.
EVENTS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 4)),
    st.tuples(st.just("skip"), st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("late"), st.integers(0, 2), st.integers(0, 30)),
    st.tuples(st.just("round"), st.just(0), st.just(0)),
    st.tuples(st.just("fail"), st.sampled_from(["write", "sync", "create", "replace"]), st.just(0)),
    st.tuples(st.just("full"), st.integers(0, 900), st.booleans()),
    st.tuples(st.just("wait"), st.just(0), st.just(0)),
    st.tuples(st.just("end"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("reopen"), st.integers(0, 2), st.just(0)),
)


class World:
    """Three sessions in a store, and what happens to them."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.case = case
        self.rig = Rig(case.mktemp())
        self.sessions = [a_session(number) for number in range(3)]
        self.acknowledged = [-1, -1, -1]
        self.given: list[set[int]] = [set(), set(), set()]
        self.ended: set[int] = set()
        self.ends = [0, 0, 0]
        self.left_tails = False
        for number, session in enumerate(self.sessions):
            self.rig.store.ledger.begin(session, partial(self._ack, number))

    def _ack(self, number: int, last: int) -> None:
        self.case.assertGreater(last, self.acknowledged[number], "it goes back")
        self.case.assertLessEqual(set(range(last + 1)), self.given[number], "too much")
        self.acknowledged[number] = last

    def happen(self, event: tuple[Any, Any, Any]) -> None:
        """One thing happens."""
        name, first, second = event
        getattr(self, f"_{name}")(first, second)

    def _append(self, number: int, count: int) -> None:
        start = max(self.given[number], default=-1) + 1
        for sequence in range(start, start + count):
            self._give(number, sequence, late=False)

    def _skip(self, number: int, count: int) -> None:
        self._give(number, max(self.given[number], default=-1) + 1 + count, late=False)

    def _late(self, number: int, choice: int) -> None:
        given = self.given[number]
        holes = sorted(set(range(max(given, default=0))) - given)
        if holes:
            self._give(number, holes[choice % len(holes)], late=True)

    def _give(self, number: int, sequence: int, late: bool) -> None:
        if number not in self.ended:
            session = self.sessions[number]
            self.given[number].add(sequence)
            self.rig.store.ledger.append(
                session.session_id, an_arrival(session, sequence, late=late)
            )

    def _round(self, _: int, __: int) -> None:
        self.rig.store.writer.round()

    def _fail(self, name: str, _: int) -> None:
        self.rig.disk.errors[name] = errno.EIO
        self.rig.store.writer.round()
        self.rig.disk.errors.clear()

    def _full(self, room: int, can_cut: bool) -> None:
        self.rig.disk.room_bytes = room
        if not can_cut:
            self.left_tails = True
            self.rig.disk.errors["truncate"] = errno.EIO
        self.rig.store.writer.round()
        self.rig.disk.room_bytes = None
        self.rig.disk.errors.clear()

    def _wait(self, _: int, __: int) -> None:
        self.rig.clock.advance(RETRY_SECONDS)

    def _end(self, number: int, _: int) -> None:
        self.ended.add(number)
        self.ends[number] += 1
        session = self.sessions[number]
        self.rig.store.ledger.end(session.session_id, "over", session.started_time_us)

    def _reopen(self, number: int, _: int) -> None:
        if number in self.ended:
            # It is acknowledged anew from what there is. An end that comes before the answer
            # ends what is opened, too.
            ends = self.ends[number]
            opened = self.rig.store.ledger.reopen(
                self.sessions[number], lambda last: self._ack_again(number, last)
            )
            opened.addCallbacks(lambda _: self._is_open(number, ends), lambda _: None)

    def _is_open(self, number: int, ends: int) -> None:
        if self.ends[number] == ends:
            self.ended.discard(number)

    def _ack_again(self, number: int, last: int) -> None:
        self.case.assertLessEqual(set(range(last + 1)), self.given[number], "too much")
        self.acknowledged[number] = max(last, self.acknowledged[number])

    # What has to be true

    def check_served(self, rig: Rig, *, everything: bool) -> None:
        """History tells of what was acknowledged, of nothing that was never given, and what
        it tells of is what was given."""
        for number, session in enumerate(self.sessions):
            known = os.path.isdir(folder_of(rig, session))
            if not known and self.acknowledged[number] < 0 and not everything:
                continue
            found = self.case.successResultOf(
                rig.store.archive.segments("desk-1", session.session_id, SegmentQuery(limit=10_000))
            ).segments
            sequences = [segment.sequence for segment in found]
            self.case.assertEqual(sequences, sorted(set(sequences)))
            self.case.assertLessEqual(set(sequences), self.given[number])
            self.case.assertLessEqual(set(range(self.acknowledged[number] + 1)), set(sequences))
            if everything:
                self.case.assertEqual(set(sequences), self.given[number])
            self._check_bytes(rig, session, sequences)

    def _check_bytes(self, rig: Rig, session: Session, sequences: list[int]) -> None:
        if not sequences:
            return
        found = rig.store.archive.media("desk-1", session.session_id, 0, 10_000)
        body, _ = self.case.successResultOf(found)
        data = b"".join(an_arrival(session, one).segment.data for one in sequences)
        self.case.assertEqual(self.case.successResultOf(body.read(0, body.size_bytes)), data)

    def check_files(self, rig: Rig) -> None:
        """Parts ascend and have no holes; and no tails, where the disk let us cut them."""
        for number, session in enumerate(self.sessions):
            if not self.left_tails and os.path.isdir(folder_of(rig, session)):
                self.case.assertLessEqual(
                    set(range(self.acknowledged[number] + 1)), set(stored(rig, session))
                )


class InterleavingTests(SynchronousTestCase):
    """Any order of events, and then one of three endings."""

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(EVENTS, max_size=25))
    def test_then_all_is_well(self, events: list[tuple[Any, Any, Any]]) -> None:
        """When the disk works again everything that was given is recorded and acknowledged."""
        world = World(self)
        for event in events:
            world.happen(event)
            world.check_served(world.rig, everything=True)
        world.rig.clock.advance(RETRY_SECONDS)
        world.rig.settle()
        world.check_served(world.rig, everything=True)
        for number, given_ in enumerate(world.given):
            unbroken = next(n for n in range(10_000) if n not in given_) - 1
            self.assertEqual(world.acknowledged[number], unbroken)
        world.check_files(world.rig)
        again = world.rig.again()
        world.check_served(again, everything=True)
        again.close()

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(EVENTS, max_size=25))
    def test_then_a_kill(self, events: list[tuple[Any, Any, Any]]) -> None:
        """After a kill at any moment what was acknowledged is there, byte for byte."""
        world = World(self)
        for event in events:
            world.happen(event)
        rig = world.rig.killed(self.mktemp())
        world.check_served(rig, everything=False)
        world.check_files(rig)
        rig.close()
        world.rig.close()

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(EVENTS, max_size=25), st.integers(0, 2**32), st.booleans())
    def test_then_a_power_cut(
        self, events: list[tuple[Any, Any, Any]], seed: int, keeps_database: bool
    ) -> None:
        """After a power cut at any moment, with any part of what was not synced on the disk
        and the database gone or not, what was acknowledged is there, byte for byte."""
        world = World(self)
        for event in events:
            world.happen(event)
        path = self.mktemp()
        choose = random.Random(seed)
        world.rig.disk.after_power_cut(world.rig.path, path, choose.randint)
        if not keeps_database:
            for suffix in ("", "-wal", "-shm"):
                os.remove(os.path.join(path, f"index.sqlite3{suffix}"))
        rig = Rig(path)
        world.check_served(rig, everything=False)
        world.check_files(rig)
        rig.close()
        world.rig.close()
