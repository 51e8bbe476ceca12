"""Tests of the memory buffer: against a list, and as one of many that share a budget."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.relay.arrivals import arrival
from vidlink.model import Arrival, Tier
from vidlink.relay.buffer import ENTRY_BYTES, Budget, Buffer
from vidlink.relay.cursor import join_latest, join_oldest

WINDOW = 5.0
CAP = 8 * (ENTRY_BYTES + 1_000)
TOTAL = 14 * (ENTRY_BYTES + 1_000)


def media_weight(entries: list[Arrival]) -> int:
    """What these entries cost without what was encoded of them."""
    return sum(len(entry.segment.data) + ENTRY_BYTES for entry in entries)


def weight(entries: list[Arrival]) -> int:
    """What these entries cost: media, and what was encoded of them."""
    frames = (frame for entry in entries for frame in (entry.encoded or {}).values())
    return media_weight(entries) + sum(len(frame) for frame in frames)


@dataclass
class Listed:
    """A buffer, and beside it a plain list of what it should hold."""

    buffer: Buffer
    entries: list[Arrival] = field(default_factory=list)
    came: int = 0
    forced: bool = False
    joinable: bool = False

    def age(self, now: float) -> None:
        """Drop what the window does not need."""
        edge = now - WINDOW
        old = [i for i, e in enumerate(self.entries) if e.arrived_seconds <= edge]
        joins = [i for i in old if self.entries[i].segment.is_keyframe]
        keep = joins[-1] if joins else len(old)
        self.entries = self.entries[keep:]

    def shrink(self, cap: int) -> None:
        """Drop the oldest while it is too much."""
        while weight(self.entries) > cap and len(self.entries) > 1:
            self.entries.pop(0)
            self.forced = True
        if not any(entry.segment.is_keyframe for entry in self.entries):
            self.joinable = False


class BufferMachine(RuleBasedStateMachine):
    """Some buffers of one budget, any order of arrivals, silences, endings and beginnings."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = Budget(TOTAL)
        self.open: list[Listed] = []

    @initialize()
    def begin_two(self) -> None:
        """Two sessions run from the start."""
        self.begin()
        self.begin()

    def begin(self) -> None:
        """A session begins."""
        self.open.append(Listed(Buffer(WINDOW, CAP, self.budget)))

    def allowance(self) -> int:
        """What one of the buffers may hold now."""
        used = sum(weight(listed.entries) for listed in self.open)
        return CAP if used <= TOTAL else min(CAP, TOTAL // len(self.open))

    @rule(
        which=st.integers(0, 3),
        keyframe=st.booleans(),
        size=st.sampled_from([1, 1_000, 4_000, 3 * CAP]),
        delay=st.sampled_from([0.0, 0.2, 1.0, WINDOW, 20.0]),
    )
    def append(self, which: int, keyframe: bool, size: int, delay: float) -> None:
        """A segment arrives."""
        self.now += delay
        listed = self.open[which % len(self.open)]
        new = arrival(listed.came, keyframe, self.now, size)
        listed.entries.append(new)
        listed.came += 1
        listed.joinable = listed.joinable or keyframe
        listed.age(self.now)
        listed.shrink(self.allowance())
        told = listed.buffer.append(new)
        assert told == listed.forced
        listed.forced = False

    @rule(
        which=st.integers(0, 3),
        back=st.integers(0, 5),
        name=st.sampled_from(["json", "cbor"]),
        size=st.sampled_from([1, 1_500]),
    )
    def keep(self, which: int, back: int, name: str, size: int) -> None:
        """A viewer of another format is sent an entry."""
        listed = self.open[which % len(self.open)]
        if listed.entries:
            entry = listed.entries[-1 - back % len(listed.entries)]
            listed.buffer.keep(entry, name, bytes(size))

    @rule(which=st.integers(0, 3), delay=st.sampled_from([0.0, 1.0, WINDOW, 60.0]))
    def trim(self, which: int, delay: float) -> None:
        """Time passes."""
        self.now += delay
        listed = self.open[which % len(self.open)]
        listed.age(self.now)
        listed.shrink(self.allowance())
        listed.buffer.trim(self.now)

    @rule(which=st.integers(0, 3))
    def replace(self, which: int) -> None:
        """A session ends and another begins."""
        listed = self.open.pop(which % len(self.open))
        listed.buffer.close()
        listed.buffer.close()
        assert listed.buffer.first == listed.buffer.end == listed.came
        assert listed.buffer.size_bytes == 0
        self.begin()

    @rule()
    def begin_another(self) -> None:
        """One more session begins, while there are few."""
        if len(self.open) < 4:
            self.begin()

    @invariant()
    def same_as_the_list(self) -> None:
        """Each buffer holds what its list holds, at the positions in which it came."""
        for listed in self.open:
            buffer, entries = listed.buffer, listed.entries
            assert buffer.end == listed.came
            assert buffer.first == listed.came - len(entries)
            places = range(buffer.first, buffer.end)
            assert [buffer.at(place) for place in places] == entries
            joins = [place for place in places if buffer.at(place).segment.is_keyframe]
            for place in places:
                later = [join for join in joins if join >= place]
                assert buffer.oldest_keyframe(place) == min(later, default=None)
                assert buffer.newest_keyframe(place) == max(later, default=None)
            assert buffer.newest_sequence == (listed.came - 1 if listed.came else None)

    @invariant()
    def place_to_join(self) -> None:
        """Once a keyframe segment has come there is a place to join, unless a cap took it."""
        for listed in self.open:
            found = listed.buffer.newest_keyframe(listed.buffer.first)
            assert (found is not None) == listed.joinable

    @invariant()
    def bounded(self) -> None:
        """No buffer is over its cap, but for one newest segment and until its next trim for what
        has been encoded since; the books are right."""
        for listed in self.open:
            buffer = listed.buffer
            assert buffer.size_bytes == weight(listed.entries)
            anew = weight(listed.entries) - media_weight(listed.entries)
            assert buffer.size_bytes - anew <= CAP or buffer.end - buffer.first == 1
        assert self.budget.used_bytes == sum(listed.buffer.size_bytes for listed in self.open)
        assert self.budget.buffers == len(self.open)


class BufferMachineTests(SynchronousTestCase):
    """A buffer against a list."""

    def test_any_order(self) -> None:
        """A buffer is a list of which the oldest go, whatever happens in whatever order."""
        run_state_machine_as_test(BufferMachine)


class BudgetTests(SynchronousTestCase):
    """Many buffers share what there is."""

    def setUp(self) -> None:
        """Ten buffers that may hold 100 kB together."""
        self.budget = Budget(100_000)
        self.buffers = [Buffer(20.0, 1 << 30, self.budget) for _ in range(10)]

    def fill(self, buffer: Buffer, octets: int) -> bool:
        """Let so many octets arrive, in entries of 2,000; whether any were forced out."""
        size = 2_000 - ENTRY_BYTES
        told = [buffer.append(arrival(buffer.end, size=size)) for _ in range(octets // 2_000)]
        return any(told)

    def test_one_may_have_it_all(self) -> None:
        """While the others are small, one buffer may be large."""
        self.assertFalse(self.fill(self.buffers[0], 100_000))

    def test_equal_share(self) -> None:
        """When all want more than there is, each has the same."""
        for _ in range(20):
            for buffer in self.buffers:
                self.fill(buffer, 4_000)
        sizes = [buffer.size_bytes for buffer in self.buffers]
        self.assertLessEqual(sum(sizes), 100_000)
        self.assertGreater(min(sizes), 5_000)

    def test_silent_ones_give_way(self) -> None:
        """What a silent stream holds beyond its share goes when its buffer is next trimmed."""
        self.fill(self.buffers[0], 98_000)
        for buffer in self.buffers[1:]:
            self.fill(buffer, 9_000)
        self.assertGreater(self.budget.used_bytes, 100_000)
        for buffer in self.buffers:
            buffer.trim(0.0)
        self.assertLessEqual(self.budget.used_bytes, 100_000)

    def test_told_at_the_next_segment(self) -> None:
        """What a trim forces out is told to whoever appends next, once."""
        self.fill(self.buffers[0], 98_000)
        self.fill(self.buffers[1], 9_000)
        self.buffers[0].trim(0.0)
        self.assertTrue(self.fill(self.buffers[0], 2_000))
        self.assertFalse(self.fill(self.buffers[0], 2_000))

    def test_close_releases_once(self) -> None:
        """A closed buffer gives its octets and its share back, however often it is closed."""
        self.fill(self.buffers[0], 50_000)
        self.buffers[0].close()
        self.buffers[0].close()
        self.assertEqual((self.budget.used_bytes, self.budget.buffers), (0, 9))

    def test_tiny_segments_count(self) -> None:
        """A flood of segments of a few octets is bounded as well as one of large ones."""
        for number in range(1_000):
            self.buffers[0].append(arrival(number, size=1))
        self.assertLessEqual(self.buffers[0].end - self.buffers[0].first, 100)


class RareTests(SynchronousTestCase):
    """Frames that are five seconds apart, and keyframes half a minute apart; a window of 20 s."""

    def filled(self, frames: int, cap_bytes: int = 1 << 30) -> Buffer:
        """A frame every 5 s, from second 0 on; every sixth a keyframe."""
        buffer = Buffer(20.0, cap_bytes, Budget(1 << 40))
        for number in range(frames):
            buffer.append(arrival(number, number % 6 == 0, number * 5.0, size=10_000))
        return buffer

    def held(self, buffer: Buffer) -> list[int]:
        """The sequences that it holds."""
        return [buffer.at(place).segment.sequence for place in range(buffer.first, buffer.end)]

    def test_reaches_back(self) -> None:
        """It reaches back to the keyframe at or before the window's start, however long ago that
        is: here 25 s. A viewer joins there, and is given the whole run to now."""
        buffer = self.filled(6)
        self.assertEqual(self.held(buffer), [0, 1, 2, 3, 4, 5])
        self.assertEqual(join_latest(buffer, Tier.FULL, None).first_sequence(), 0)

    def test_until_the_window_has_passed_a_keyframe(self) -> None:
        """The run before a keyframe is held until that keyframe is as old as the window; so at
        most the window and one keyframe interval are in memory, here 50 s."""
        buffer = self.filled(10)
        self.assertEqual(self.held(buffer), list(range(10)))
        buffer.trim(49.9)
        self.assertEqual(self.held(buffer), list(range(10)))
        buffer.trim(50.0)
        self.assertEqual(self.held(buffer), [6, 7, 8, 9])
        self.assertEqual(join_latest(buffer, Tier.FULL, None).first_sequence(), 6)

    def test_joins_at_the_newest(self) -> None:
        """With two keyframes in memory a viewer joins at the newer one, and at the older one if
        it asks for the oldest."""
        buffer = self.filled(8)
        self.assertEqual(join_latest(buffer, Tier.FULL, None).first_sequence(), 6)
        self.assertEqual(join_oldest(buffer, Tier.FULL, None).first_sequence(), 0)

    def test_cap_in_the_run(self) -> None:
        """At a cap the keyframe goes first, being the oldest: whoever appends is told, and nobody
        can join before the next keyframe, which is asked for then."""
        buffer = self.filled(3, cap_bytes=30_000)
        self.assertEqual(self.held(buffer), [1, 2])
        cursor = join_latest(buffer, Tier.FULL, None)
        self.assertIsNone(cursor.first_sequence())
        buffer.append(arrival(3, True, 10.1, size=10_000))
        self.assertEqual(cursor.first_sequence(), 3)

    def test_one_who_follows_at_a_cap(self) -> None:
        """Whoever follows at the live edge is shown everything, whatever a cap takes behind."""
        buffer = Buffer(20.0, 30_000, Budget(1 << 40))
        cursor = join_latest(buffer, Tier.FULL, None)
        for number in range(6):
            buffer.append(arrival(number, number == 0, number * 5.0, size=10_000))
            given = cursor.next()
            assert isinstance(given, Arrival)
            self.assertEqual(given.segment.sequence, number)


class EncodedTests(SynchronousTestCase):
    """What was encoded of a segment for viewers of other formats."""

    def test_counted(self) -> None:
        """It counts until its entry goes, and with it the whole is within the cap."""
        buffer = Buffer(20.0, 50_000, Budget(1 << 40))
        for number in range(4):
            buffer.append(arrival(number, number == 0, size=10_000))
            buffer.keep(buffer.at(number), "json", bytes(13_334))
        self.assertEqual(self.sequences(buffer), [2, 3])
        buffer.trim(0.0)
        self.assertLessEqual(buffer.size_bytes, 50_000)
        self.assertEqual(buffer.size_bytes, 2 * (10_000 + 13_334 + ENTRY_BYTES))
        buffer.close()
        self.assertEqual(buffer.size_bytes, 0)

    def test_frame_that_holds_the_media(self) -> None:
        """A frame that is passed on as it came is not counted beside the media in it."""
        buffer = Buffer(20.0, 50_000, Budget(1 << 40))
        payload = bytes(10_060)
        segment = replace(arrival(0).segment, data=memoryview(payload)[60:])
        buffer.append(Arrival(segment, 0, 1, 0.0, 0, frame=payload, spoken="binary"))
        self.assertEqual(buffer.size_bytes, 10_000 + ENTRY_BYTES)

    def test_let_go(self) -> None:
        """It goes with its entry, whoever has the segment still: that may wait for the disk."""
        buffer = Buffer(20.0, 1 << 40, Budget(1 << 40))
        came = [arrival(number, True, at=30.0 * number) for number in range(3)]
        for one in came:
            buffer.append(one)
            buffer.keep(one, "json", b"payload")
        kept = [one.frame_for("json") for one in came]
        self.assertEqual(kept, [None, b"payload", b"payload"])
        buffer.close()
        self.assertEqual([one.frame_for("json") for one in came], [None] * 3)

    def sequences(self, buffer: Buffer) -> list[int]:
        """The sequences that it holds."""
        return [buffer.at(place).segment.sequence for place in range(buffer.first, buffer.end)]
