"""What a cursor promises whatever happens: viewers of all kinds, by random steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.relay.arrivals import arrival
from vidlink.model import Arrival, SkipReason, Tier
from vidlink.relay.buffer import ENTRY_BYTES, Budget, Buffer
from vidlink.relay.cursor import Cursor, Hole, join_latest, join_oldest, resume

JOINS = {
    "latest": (join_latest, Buffer.newest_keyframe),
    "oldest": (join_oldest, Buffer.oldest_keyframe),
}
SIZE = 100
WINDOW = 6.0
CAP = 8 * (SIZE + ENTRY_BYTES)


@dataclass
class Viewer:
    """A cursor, and everything it has ever given.

    `due` is the sequence that it owes first, None if it may begin anywhere; `exact` says that
    this one may be given though it is no keyframe.
    """

    cursor: Cursor
    due: int | None
    exact: bool
    max_lag_seconds: float | None
    given: list[Arrival | Hole] = field(default_factory=list)

    def first_of(self, thing: Arrival | Hole) -> int:
        """The first sequence that `thing` speaks of."""
        return thing.first if isinstance(thing, Hole) else thing.segment.sequence

    def last_of(self, thing: Arrival | Hole) -> int:
        """The last sequence that `thing` speaks of."""
        return thing.last if isinstance(thing, Hole) else thing.segment.sequence


class StreamMachine(RuleBasedStateMachine):
    """A stream with jumps, silences and keyframes, and the look at what its viewers were given."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.buffer = Buffer(WINDOW, CAP, Budget(1 << 40))
        self.came: list[Arrival] = []
        self.broken = True
        self.viewers: list[Viewer] = []

    @rule(
        jump=st.sampled_from([1, 1, 1, 1, 2, 5]),
        keyframe=st.sampled_from([True, False, False]),
        more=st.sampled_from([0, 0, 2, 25]),
        delay=st.sampled_from([0.0, 0.2, 1.0, 5.0]),
        pause=st.sampled_from([1, 10, 100]),
    )
    def arrive(self, jump: int, keyframe: bool, more: int, delay: float, pause: int) -> None:
        """The next segment, or one further on; and some that build on it, if it decodes.

        Everybody reads after the first and then after every so many of them.
        """
        for number in range(1 + more):
            self.one(jump if number == 0 else 1, keyframe and number == 0, delay / (1 + number))
            if number == 0 or (number + 1) % pause == 0:
                self.everybody_reads()

    def one(self, jump: int, keyframe: bool, delay: float) -> None:
        """One segment."""
        self.now += delay
        last = self.came[-1].segment.sequence if self.came else -1
        self.broken = not keyframe and (self.broken or jump > 1)
        new = arrival(last + jump, keyframe, self.now, SIZE, self.broken)
        self.came.append(new)
        self.buffer.append(new)
        self.stirred()

    def stirred(self) -> None:
        """Something has arrived."""

    def everybody_reads(self) -> None:
        """All that there is for them."""

    @rule(delay=st.sampled_from([1.0, 3.0, WINDOW, 30.0]))
    def silence(self, delay: float) -> None:
        """Nothing comes, and the buffer lets go of what is old."""
        self.now += delay
        self.buffer.trim(self.now)

    def teardown(self) -> None:
        """The session is over: the buffer goes, and each viewer hears what it was not given."""
        self.buffer.close()
        for number, viewer in enumerate(self.viewers):
            self.farewell(viewer, number % 2 == 0)

    def farewell(self, viewer: Viewer, drain: bool) -> None:
        """The last word of a cursor, and then the look at all that it has said."""
        while drain and (thing := viewer.cursor.next()) is not None:
            viewer.given.append(thing)
        last = viewer.cursor.finish()
        if last is not None:
            viewer.given.append(last)
        assert viewer.cursor.finish() is None
        assert viewer.cursor.next() is None
        self.check_order(viewer)
        self.check_decodable(viewer)
        self.check_account(viewer)
        self.check_reasons(viewer)

    def check_order(self, viewer: Viewer) -> None:
        """Ascending, nothing twice, no hole over something delivered; unbroken at full rate."""
        for before, after in zip(viewer.given, viewer.given[1:], strict=False):
            assert viewer.last_of(before) < viewer.first_of(after)
            if viewer.cursor.tier is Tier.FULL:
                assert viewer.last_of(before) + 1 == viewer.first_of(after)
        for thing in viewer.given:
            assert viewer.first_of(thing) <= viewer.last_of(thing)

    def check_decodable(self, viewer: Viewer) -> None:
        """What is delivered is a keyframe, or follows what it builds on."""
        previous: Arrival | None = None
        for thing in viewer.given:
            if isinstance(thing, Hole):
                previous = None
                continue
            place = self.came.index(thing)
            resumed = viewer.exact and thing.segment.sequence == viewer.due
            if not thing.segment.is_keyframe:
                assert viewer.cursor.tier is Tier.FULL
                assert not thing.is_undecodable
                assert resumed or (place > 0 and previous is self.came[place - 1])
            previous = thing

    def check_account(self, viewer: Viewer) -> None:
        """From what was due first to the newest: delivered, or in a hole."""
        if not self.came:
            return
        due = viewer.due
        if due is None:
            if not viewer.given:
                return
            due = viewer.first_of(viewer.given[0])
        told = {
            number
            for thing in viewer.given
            for number in range(viewer.first_of(thing), viewer.last_of(thing) + 1)
        }
        for one in self.came:
            if one.segment.is_keyframe or viewer.cursor.tier is Tier.FULL:
                assert one.segment.sequence < due or one.segment.sequence in told
        if viewer.given:
            began = viewer.first_of(viewer.given[0])
            assert began == due or (began > due and viewer.cursor.tier is Tier.KEYFRAMES)
            assert viewer.last_of(viewer.given[-1]) <= self.came[-1].segment.sequence

    def check_reasons(self, viewer: Viewer) -> None:
        """What is said to be missing never came, and only that.

        But what is before a place that has left the buffer may have come, for all one knows.
        """
        came = [one.segment.sequence for one in self.came]
        for place, thing in enumerate(viewer.given):
            if isinstance(thing, Hole) and (place or not viewer.exact):
                nothing_came = not any(thing.first <= number <= thing.last for number in came)
                assert nothing_came == (thing.reason is SkipReason.MISSING), thing


class CursorMachine(StreamMachine):
    """Viewers of all kinds that join, read and dawdle."""

    @rule(
        where=st.sampled_from(["latest", "oldest", "resume"]),
        tier=st.sampled_from(Tier),
        lag=st.sampled_from([None, 0.0, 1.0, 4.0]),
        back=st.integers(-3, 20),
    )
    def join(self, where: str, tier: Tier, lag: float | None, back: int) -> None:
        """A viewer comes."""
        if len(self.viewers) == 2:
            self.leave(0)
        newest = self.came[-1].segment.sequence if self.came else -1
        if where == "resume":
            wanted = newest + 1 - back
            assume(wanted >= 0)
            cursor = resume(self.buffer, wanted, tier, lag)
            known = wanted <= newest + 1
            if tier is Tier.FULL and lag is None:
                assert cursor.first_sequence() == self.goes_on_at(wanted)
            self.viewers.append(Viewer(cursor, wanted if known else None, known, lag))
        else:
            choose, find = JOINS[where]
            place = find(self.buffer, self.buffer.first)
            due = None if self.came else 0
            if place is not None:
                due = self.buffer.at(place).segment.sequence
            self.viewers.append(Viewer(choose(self.buffer, tier, lag), due, False, lag))

    def goes_on_at(self, wanted: int) -> int | None:
        """Where a viewer that wants to go on at `wanted` has to."""
        held = self.came[self.buffer.first : self.buffer.end]
        numbers = [one.segment.sequence for one in held]
        keyframes = [one.segment.sequence for one in held if one.segment.is_keyframe]
        for one in held:
            if one.segment.sequence == wanted and not one.is_undecodable:
                # Before sequence 0 there is nothing that it could build on.
                return wanted if wanted or one.segment.is_keyframe else min(keyframes, default=None)
        newest = self.came[-1].segment.sequence if self.came else -1
        has_gone = self.buffer.first > 0 and (not numbers or wanted < numbers[0])
        if wanted > newest + 1 or (has_gone and wanted <= newest):
            return max(keyframes, default=None)
        return min((number for number in keyframes if number >= wanted), default=None)

    @precondition(lambda self: self.viewers)
    @rule(which=st.integers(0, 1), count=st.sampled_from([1, 2, 100]))
    def read(self, which: int, count: int) -> None:
        """A viewer takes some of what there is for it."""
        viewer = self.viewers[which % len(self.viewers)]
        self.check_jump(viewer)
        promised = viewer.cursor.first_sequence()
        for _ in range(count):
            thing = viewer.cursor.next()
            if thing is None:
                assert promised is None
                return
            viewer.given.append(thing)
            if isinstance(thing, Arrival):
                self.check_delivery(viewer, thing, promised)
                promised = viewer.cursor.first_sequence()

    def everybody_reads(self) -> None:
        """All that there is for them."""
        for which in range(len(self.viewers)):
            self.read(which, 100)

    def check_jump(self, viewer: Viewer) -> None:
        """One whose place has left the buffer goes on at the newest keyframe, and nowhere else."""
        before = viewer.given[-1] if viewer.given else None
        if not isinstance(before, Arrival) or viewer.cursor.tier is Tier.KEYFRAMES:
            return
        due = self.came.index(before) + 1
        if due < self.buffer.first and not self.came[due].is_undecodable:
            place = self.buffer.newest_keyframe(self.buffer.first)
            newest = None if place is None else self.buffer.at(place).segment.sequence
            assert viewer.cursor.first_sequence() == newest

    def check_delivery(self, viewer: Viewer, thing: Arrival, promised: int | None) -> None:
        """It was foretold, and nothing newer would have had to be given in its place."""
        assert thing.segment.sequence == promised
        newer = self.buffer.newest_keyframe(self.buffer.first)
        if viewer.max_lag_seconds is not None and newer is not None:
            keyframe = self.buffer.at(newer)
            behind = self.came[-1].arrived_seconds - thing.arrived_seconds
            assert (
                thing.segment.sequence >= keyframe.segment.sequence
                or behind <= viewer.max_lag_seconds
            )

    @precondition(lambda self: self.viewers)
    @rule(which=st.integers(0, 1), drain=st.booleans())
    def leave(self, which: int, drain: bool = True) -> None:
        """A viewer goes, having taken what was left or not."""
        viewer = self.viewers.pop(which % len(self.viewers))
        self.farewell(viewer, drain)


class PromptMachine(StreamMachine):
    """One viewer that takes everything as soon as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt = Viewer(join_latest(self.buffer, Tier.FULL, 2.0), 0, False, 2.0)
        self.viewers.append(self.prompt)

    def stirred(self) -> None:
        """What has come is taken."""
        while (thing := self.prompt.cursor.next()) is not None:
            self.prompt.given.append(thing)

    def teardown(self) -> None:
        """All that decodes has been given; only the stream's own damage was skipped."""
        super().teardown()
        holes = [thing for thing in self.prompt.given if isinstance(thing, Hole)]
        assert SkipReason.LAG not in {hole.reason for hole in holes}
        began = False
        for one in self.came:
            began = began or one.segment.is_keyframe
            assert not began or one.is_undecodable or one in self.prompt.given


class CursorTests(SynchronousTestCase):
    """The cursor that subscriptions use."""

    def test_any_order(self) -> None:
        """In order, from keyframes on, all delivered or named in one hole, nothing broken."""
        run_state_machine_as_test(CursorMachine)

    def test_prompt_viewer(self) -> None:
        """A viewer that keeps up is given all that decodes, and is never told that it lags."""
        run_state_machine_as_test(PromptMachine)
