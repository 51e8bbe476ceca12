"""What every spool promises (:class:`vidlink.interfaces.ISpool`)."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import media
from tests.sentinel.spool.rig import OTHER, SESSION, Rig, a_segment
from vidlink.fmp4 import shift_producer_time, write_fragment
from vidlink.interfaces import ISpool
from vidlink.model import Segment, SpooledSession
from vidlink.sentinel.spool.memory import MemorySpool

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object

INIT = media.init_segment()
HOUR_US = 3_600_000_000
PLENTY_BYTES = 1 << 30


def lost(shown: SpooledSession) -> set[int]:
    """The sequences that were dropped."""
    return {one for gone in shown.dropped for one in range(gone.first, gone.last + 1)}


def late(segment: Segment, offset_us: int = 0) -> Segment:
    """A segment as it has to be read."""
    data = shift_producer_time(segment.data, offset_us)
    start_time_us = segment.start_time_us + offset_us
    return replace(segment, data=data, start_time_us=start_time_us, is_late=True)


class Provider:
    """A spool under test. One that has a disk can be `again` another process's."""

    is_lasting = False

    def __init__(self, most_bytes: int, told: list[str]) -> None:
        self.spool: Any = MemorySpool(most_bytes, told.append, monotonic=lambda: 0.0)

    def settle(self) -> None:
        """Let everything come to rest."""

    def answer(self) -> None:
        """Let reads be answered, and nothing else happen."""

    def again(self, in_order: bool) -> None:
        """Settled, it ends, in order or killed, and another process opens it."""

    def end(self) -> None:
        """No longer needed."""

    def read(self, session_id: str, first: int, last: int) -> tuple[Segment, ...]:
        """What one read gives."""
        pieces: list[tuple[Segment, ...]] = []
        self.spool.read(session_id, first, last).addCallback(pieces.append)
        while not pieces:
            self.answer()
        return pieces[0]

    def all(self, session_id: str) -> list[Segment]:
        """Everything that is held of a session."""
        found: list[Segment] = []
        while pieces := self.read(session_id, found[-1].sequence + 1 if found else 0, 2**32):
            found += pieces
        return found

    def shown(self, session_id: str) -> SpooledSession:
        """One session."""
        (one,) = (one for one in self.spool.sessions() if one.session_id == session_id)
        found: SpooledSession = one
        return found


class DiskProvider(Provider):
    """The spool on disk, its rounds done when it settles."""

    is_lasting = True

    def __init__(self, most_bytes: int, told: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vidlink-spool-")
        self._rig = Rig(self._folder.name, most_bytes, told=told)
        self.spool = self._rig.spool

    def settle(self) -> None:
        """Write everything."""
        self._rig.settle()

    def answer(self) -> None:
        """Read."""
        self._rig.answer()

    def again(self, in_order: bool) -> None:
        """Another process."""
        self.settle()
        if in_order:
            self._rig.close()
            self._rig.start()
        else:
            self._rig.again()
        self.spool = self._rig.spool

    def end(self) -> None:
        """Remove the folder."""
        self._rig.kill()
        self._folder.cleanup()


class SpoolContract(_Case):
    """The promises of `ISpool`; a subclass says in :attr:`kind` who keeps them.

    Each is tried with what has come to rest and with what has not.
    """

    kind: ClassVar[type[Provider]]

    def setUp(self) -> None:
        """A spool with plenty of room, and a session in it."""
        self.told: list[str] = []
        self.provider = self.make(PLENTY_BYTES)
        self.begin()

    def make(self, most_bytes: int) -> Provider:
        """An empty spool."""
        provider = self.kind(most_bytes, self.told)
        self.addCleanup(provider.end)
        return provider

    @property
    def spool(self) -> Any:
        """The spool."""
        return self.provider.spool

    def begin(self, session_id: str = SESSION, is_corrected: bool = True) -> None:
        """A session begins."""
        self.spool.begin(session_id, INIT, is_corrected)

    def append(self, *sequences: int, session_id: str = SESSION, filler_bytes: int = 0) -> None:
        """Segments are captured."""
        for sequence in sequences:
            self.spool.append(a_segment(sequence, session_id, filler_bytes=filler_bytes))

    def held(self, session_id: str = SESSION) -> list[int]:
        """The sequences that can be read."""
        return [one.sequence for one in self.provider.all(session_id)]

    def summary(self, session_id: str = SESSION) -> tuple[object, ...]:
        """What a session says of itself, but for its init."""
        one = self.provider.shown(session_id)
        return one.first, one.last, one.newest, one.acknowledged

    def test_role(self) -> None:
        """A spool has every member of its role."""
        verifyObject(ISpool, self.spool)

    def test_begun(self) -> None:
        """A session is there from its beginning on, with its init, and holds nothing."""
        shown = SpooledSession(SESSION, INIT, True, None, None, None, None, ())
        self.assertEqual(self.spool.sessions(), (shown,))
        self.assertEqual(self.provider.read(SESSION, 0, 10), ())

    def test_order(self) -> None:
        """Sessions are listed in the order in which they began, also when nothing is held."""
        self.begin(OTHER, False)
        self.append(0)
        self.provider.settle()
        self.assertEqual([one.session_id for one in self.spool.sessions()], [SESSION, OTHER])
        self.assertFalse(self.provider.shown(OTHER).is_corrected)

    def test_read(self) -> None:
        """What was captured is read as it was, in order, marked late; between two sequences."""
        expected = [late(a_segment(one)) for one in range(9)]
        self.append(*range(5))
        self.assertEqual(self.provider.all(SESSION), expected[:5])
        self.provider.settle()
        self.assertEqual(self.provider.all(SESSION), expected[:5])
        self.append(*range(5, 9))
        self.assertEqual(self.provider.all(SESSION), expected)
        found = self.provider.read(SESSION, 2, 4)
        self.assertEqual([one.sequence for one in found], [2, 3, 4])
        self.assertEqual(self.provider.read(SESSION, 9, 20), ())
        self.assertEqual(self.provider.read("no-such-session-0", 0, 20), ())

    def test_missing_sequences(self) -> None:
        """Sequences may be left out; what is there is read."""
        self.append(0, 1, 7, 9)
        for _ in range(2):
            self.assertEqual(self.held(), [0, 1, 7, 9])
            self.assertEqual([one.sequence for one in self.provider.read(SESSION, 2, 8)], [7])
            self.provider.settle()

    def test_size_of_a_read(self) -> None:
        """One read gives at most 1 MiB, but always one segment."""
        self.append(*range(5), filler_bytes=400_000)
        self.append(5, filler_bytes=2_000_000)
        for _ in range(2):
            first = self.provider.read(SESSION, 0, 9)
            self.assertIn(len(first), (1, 2))
            self.assertEqual(len(self.provider.read(SESSION, 5, 5)), 1)
            self.assertEqual(self.held(), [0, 1, 2, 3, 4, 5])
            self.provider.settle()

    def test_forget(self) -> None:
        """What is acknowledged is not held any more; the session stays, and what it was."""
        self.append(*range(6))
        self.spool.forget(SESSION, 2)
        self.assertEqual(self.held(), [3, 4, 5])
        self.assertEqual(self.summary(), (3, 5, 5, 2))
        self.provider.settle()
        self.spool.forget(SESSION, 1)
        self.assertEqual(self.summary(), (3, 5, 5, 2))
        self.spool.forget(SESSION, 5)
        self.assertEqual(self.summary(), (None, None, 5, 5))
        self.spool.forget("no-such-session-0", 3)

    def test_empty_again(self) -> None:
        """When everything is acknowledged nearly nothing counts any more."""
        self.append(*range(6), filler_bytes=100_000)
        self.provider.settle()
        self.assertGreater(self.spool.load, 500_000 / PLENTY_BYTES)
        self.spool.forget(SESSION, 5)
        self.assertLess(self.spool.load, 10_000 / PLENTY_BYTES)

    def test_drop(self) -> None:
        """What is given up is a dropped range, held or never kept; it counts for the newest."""
        self.append(*range(6))
        self.provider.settle()
        self.append(6)
        self.spool.drop(SESSION, 3, 3, "too large")
        self.spool.drop(SESSION, 6, 8, "too large")
        self.assertEqual(self.held(), [0, 1, 2, 4, 5])
        shown = self.provider.shown(SESSION)
        self.assertEqual(lost(shown), {3, 6, 7, 8})
        self.assertEqual({one.cause for one in shown.dropped}, {"too large"})
        self.assertEqual(shown.newest, 8)
        self.spool.forget(SESSION, 6)
        self.assertEqual(lost(self.provider.shown(SESSION)), {7, 8})
        self.spool.drop(SESSION, 2, 6, "too large")
        self.assertEqual(lost(self.provider.shown(SESSION)), {7, 8})
        self.spool.drop("no-such-session-0", 0, 1, "too large")

    def test_correct(self) -> None:
        """Once the server's clock is known, times of before are read by it, in the bytes too; the
        first word counts."""
        self.begin(OTHER, False)
        self.append(0, 1, session_id=OTHER)
        self.provider.settle()
        self.append(2, session_id=OTHER)
        self.spool.correct(OTHER, HOUR_US)
        self.spool.correct(OTHER, 5)
        expected = [late(a_segment(one, OTHER), HOUR_US) for one in range(3)]
        self.assertEqual(self.provider.all(OTHER), expected)
        self.assertTrue(self.provider.shown(OTHER).is_corrected)

    def test_segment_without_time_of_capture(self) -> None:
        """Octets in which no time of capture can be moved, because there is none or because they
        are no boxes, are read as they are; the segment is by the server's clock."""
        self.begin(OTHER, False)
        timeless = write_fragment(sequence=0, decode_time=0, duration=9, keyframe=True, data=b"x")
        bare = [replace(a_segment(0, OTHER), data=timeless)]
        bare.append(replace(a_segment(1, OTHER), data=b"no boxes at all"))
        for segment in bare:
            self.spool.append(segment)
        self.spool.correct(OTHER, HOUR_US)
        expected = [
            replace(one, is_late=True, start_time_us=one.start_time_us + HOUR_US) for one in bare
        ]
        for _ in range(2):
            self.assertEqual(self.provider.all(OTHER), expected)
            self.provider.settle()

    def test_correct_from_the_beginning(self) -> None:
        """A session that went by the server's clock stays as it is."""
        self.append(0)
        self.spool.correct(SESSION, HOUR_US)
        self.assertEqual(self.provider.all(SESSION), [late(a_segment(0))])
        self.spool.correct("no-such-session-0", HOUR_US)

    def test_flush(self) -> None:
        """It fires once what was appended would be there for the next process; what is not held,
        or not there, is not waited for."""
        self.successResultOf(self.spool.flush(SESSION))
        self.successResultOf(self.spool.flush("session-that-is-not"))
        self.append(0)
        flushed, dropped = self.spool.flush(SESSION), self.spool.flush(SESSION)
        if self.provider.is_lasting:
            self.assertNoResult(flushed)
        self.append(1)
        self.spool.forget(SESSION, 0)
        self.append(2)
        self.provider.settle()
        self.successResultOf(flushed)
        self.successResultOf(dropped)

    def test_remove(self) -> None:
        """Of a session that is removed nothing is left, and nothing of it counts."""
        self.append(0, 1)
        self.provider.settle()
        self.append(2)
        self.spool.remove(SESSION)
        self.spool.remove(SESSION)
        self.assertEqual(self.spool.sessions(), ())
        self.assertEqual(self.spool.load, 0.0)
        self.assertEqual(self.provider.read(SESSION, 0, 9), ())

    def test_full(self) -> None:
        """At the bound the oldest of the oldest session goes, up to a keyframe; it is named, the
        rest is untouched, and somebody is told."""
        provider = self.provider = self.make(1_000_000)
        for name in (SESSION, OTHER):
            self.begin(name)
            for start in range(0, 30, 5):
                self.append(*range(start, start + 5), session_id=name, filler_bytes=30_000)
                provider.settle()
                self.assertLessEqual(self.spool.load, 1.0)
        older, newer = provider.shown(SESSION), provider.shown(OTHER)
        held = [*self.held(SESSION), *self.held(OTHER)]
        self.assertLessEqual(len(held) * 30_000, 1_000_000)
        self.assertGreater(len(held), 15)
        self.assertEqual(lost(older) | set(self.held(SESSION)), set(range(30)))
        self.assertEqual(self.held(OTHER)[-1], 29)
        # The newer session loses nothing before the older has lost all.
        self.assertTrue(not lost(newer) or not self.held(SESSION))
        for shown in (older, newer):
            self.assertTrue(shown.first is None or media.is_keyframe(shown.first))
        self.assertEqual(len(self.told), 1)

    def test_too_large(self) -> None:
        """What is larger than the whole spool is dropped, and nothing is raised."""
        self.provider = self.make(200_000)
        self.begin()
        self.append(0, filler_bytes=400_000)
        self.provider.settle()
        self.assertEqual(lost(self.provider.shown(SESSION)), {0})
        self.assertLessEqual(self.spool.load, 1.0)

    def test_nothing_to_keep(self) -> None:
        """What is captured into a session that was removed, or after the end, is passed over."""
        self.spool.remove(SESSION)
        self.append(0)
        self.assertEqual(self.spool.sessions(), ())
        self.begin(OTHER, True)
        self.spool.close()
        self.spool.begin("session-that-will-be", INIT, True)
        for session_id in (OTHER, "session-that-will-be"):
            self.spool.append(a_segment(0, session_id))
        self.assertEqual(self.spool.load < 0.001, True)
        self.assertEqual(self.told, [])

    def test_close(self) -> None:
        """Closing ends."""
        self.append(0)
        closed = self.spool.close()
        self.provider.settle()
        if not self.provider.is_lasting:
            self.successResultOf(closed)


class Machine(RuleBasedStateMachine):
    """A spool beside two dictionaries; `most_bytes` says whether its bound is ever met."""

    kind: ClassVar[type[Provider]]
    most_bytes = PLENTY_BYTES

    def __init__(self) -> None:
        super().__init__()
        self.provider = self.kind(self.most_bytes, [])
        self.kept: dict[str, dict[int, Segment]] = {}
        self.given_up: dict[str, set[int]] = {}
        self.offsets: dict[str, int | None] = {}
        self.acknowledged: dict[str, int] = {}
        self.newest: dict[str, int] = {}
        self.count = 0

    @property
    def spool(self) -> Any:
        """The spool."""
        return self.provider.spool

    def pick(self, number: int) -> str:
        """Some session."""
        names = list(self.kept)
        return names[number % len(names)]

    def teardown(self) -> None:
        """End it."""
        self.provider.end()

    @rule(is_corrected=st.booleans())
    def begin(self, is_corrected: bool) -> None:
        """Another session."""
        self.count += 1
        name = f"session-number-{self.count:04}"
        self.spool.begin(name, INIT, is_corrected)
        self.kept[name], self.given_up[name] = {}, set()
        self.offsets[name] = 0 if is_corrected else None
        self.acknowledged[name] = self.newest[name] = -1

    @precondition(lambda self: self.kept)
    @rule(
        number=st.integers(0, 3),
        steps=st.lists(st.integers(1, 3), min_size=1, max_size=8),
        filler_bytes=st.sampled_from([0, 30_000, 90_000]),
    )
    def append(self, number: int, steps: list[int], filler_bytes: int) -> None:
        """Some segments more."""
        name = self.pick(number)
        for step in steps:
            sequence = self.newest[name] + step
            segment = a_segment(sequence, name, filler_bytes=filler_bytes)
            self.spool.append(segment)
            self.kept[name][sequence] = segment
            self.newest[name] = sequence

    @precondition(lambda self: self.kept)
    @rule(number=st.integers(0, 3), back=st.integers(0, 12))
    def forget(self, number: int, back: int) -> None:
        """Some are acknowledged."""
        name = self.pick(number)
        sequence = self.newest[name] - back
        self.spool.forget(name, sequence)
        self.acknowledged[name] = max(self.acknowledged[name], sequence)

    @precondition(lambda self: self.kept)
    @rule(number=st.integers(0, 3), back=st.integers(-2, 12), count=st.integers(1, 4))
    def drop(self, number: int, back: int, count: int) -> None:
        """Some are given up."""
        name = self.pick(number)
        first = max(0, self.newest[name] - back)
        last = first + count - 1
        self.spool.drop(name, first, last, "too large")
        self.given_up[name] |= set(range(first, last + 1))
        self.newest[name] = max(self.newest[name], last)

    @precondition(lambda self: self.kept)
    @rule(number=st.integers(0, 3), offset_us=st.integers(-HOUR_US, HOUR_US))
    def correct(self, number: int, offset_us: int) -> None:
        """The server's clock is known."""
        name = self.pick(number)
        self.spool.correct(name, offset_us)
        if self.offsets[name] is None:
            self.offsets[name] = offset_us

    @precondition(lambda self: self.kept)
    @rule(number=st.integers(0, 3))
    def remove(self, number: int) -> None:
        """A session is done."""
        name = self.pick(number)
        self.spool.remove(name)
        for known in (self.kept, self.given_up, self.offsets, self.acknowledged, self.newest):
            del known[name]

    @rule()
    def settle(self) -> None:
        """It comes to rest."""
        self.provider.settle()

    @rule(in_order=st.booleans())
    def again(self, in_order: bool) -> None:
        """Another process, where the spool outlives one."""
        self.provider.again(in_order)

    @invariant()
    def agrees(self) -> None:
        """It says and gives what was put into it."""
        shown = self.spool.sessions()
        assert [one.session_id for one in shown] == list(self.kept)
        assert 0.0 <= self.spool.load <= 1.0
        for one in shown:
            self.compare(one)

    def compare(self, one: SpooledSession) -> None:
        """One session is as it should be."""
        name = one.session_id
        acknowledged = self.acknowledged[name]
        wanted = {n: s for n, s in self.kept[name].items() if n > acknowledged}
        given_up = {n for n in self.given_up[name] if n > acknowledged}
        gone = lost(one)
        if self.most_bytes == PLENTY_BYTES:
            assert gone == given_up, (gone, given_up)
        assert gone >= given_up
        assert not gone or min(gone) > acknowledged
        held = [n for n in wanted if n not in gone]
        assert (one.first, one.last) == ((held[0], held[-1]) if held else (None, None))
        assert (one.newest, one.acknowledged) == tuple(
            None if n < 0 else n for n in (self.newest[name], acknowledged)
        )
        assert one.is_corrected == (self.offsets[name] is not None)
        offset_us = self.offsets[name] or 0
        assert self.provider.all(name) == [late(wanted[n], offset_us) for n in held]


class MemoryTests(SpoolContract, SynchronousTestCase):
    """The spool in memory."""

    kind = Provider


class DiskTests(SpoolContract, SynchronousTestCase):
    """The spool on disk."""

    kind = DiskProvider

    def test_another_process(self) -> None:
        """Whatever was settled is there for the next process, however this one ends."""
        self.begin(OTHER, False)
        self.append(*range(5))
        self.append(*range(5), session_id=OTHER)
        self.spool.forget(SESSION, 1)
        self.spool.drop(SESSION, 3, 3, "too large")
        self.spool.correct(OTHER, HOUR_US)
        for in_order in (True, False):
            before = self.spool.sessions()
            self.provider.again(in_order)
            self.assertEqual(self.spool.sessions(), before)
            self.assertEqual(self.held(), [2, 4])
            expected = [late(a_segment(one, OTHER), HOUR_US) for one in range(5)]
            self.assertEqual(self.provider.all(OTHER), expected)


class MachineTests(SynchronousTestCase):
    """Whatever happens, in whatever order, a spool agrees with a simple model."""

    def run_machine(self, provider: type[Provider], most: int) -> None:
        """Try many histories with one provider."""

        class Tried(Machine):
            kind = provider
            most_bytes = most

        run_state_machine_as_test(
            Tried, settings=settings(max_examples=50, stateful_step_count=30, deadline=None)
        )

    def test_memory(self) -> None:
        """In memory, with room."""
        self.run_machine(Provider, PLENTY_BYTES)

    def test_memory_bounded(self) -> None:
        """In memory, at the bound."""
        self.run_machine(Provider, 600_000)

    def test_disk(self) -> None:
        """On disk, with room."""
        self.run_machine(DiskProvider, PLENTY_BYTES)

    def test_disk_bounded(self) -> None:
        """On disk, at the bound."""
        self.run_machine(DiskProvider, 600_000)
