"""Tests of the rules by which a session is listed for players."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import EPOCH_US
from vidlink.server.api.parameters import MAX_RANGE
from vidlink.store.film.chapters import MAX_SEGMENTS, TARGET_SECONDS
from vidlink.store.film.playlist import Playlist
from vidlink.store.film.scene import Decoding

TIMESCALE = 1_000
TARGET = TARGET_SECONDS * TIMESCALE
ENTRY = re.compile(
    r"(#EXT-X-DISCONTINUITY\n)?(?:#EXT-X-PROGRAM-DATE-TIME:([0-9TZ:.-]+)\n)?"
    r"#EXTINF:([0-9]+\.[0-9]{6}),\nsegments/([0-9]+)-([0-9]+)\.mp4\n"
)


@dataclass(frozen=True)
class Entry:
    """One entry of a list, as a player reads it."""

    discontinuity: bool
    date: str | None
    seconds: float
    first: int
    last: int


@dataclass(frozen=True)
class One:
    """A segment that is offered."""

    sequence: int
    time: int
    duration_ms: int
    is_key: bool

    def offer(self, playlist: Playlist) -> None:
        """Offer it."""
        start_us = EPOCH_US + self.time * 1_000
        playlist.offer(self.sequence, self.time, self.duration_ms, start_us, self.is_key)


def entries(text: bytes) -> list[Entry]:
    """The entries of a list; there has to be nothing else between head and end."""
    _, mark, rest = text.decode("ascii").partition('#EXT-X-MAP:URI="init.mp4"\n')
    assert mark, text
    found = []
    place = 0
    for match in ENTRY.finditer(rest):
        assert match.start() == place, rest[place:]
        place = match.end()
        cut, date, seconds, first, last = match.groups()
        found.append(Entry(bool(cut), date, float(seconds), int(first), int(last)))
    assert rest[place:] in ("", "#EXT-X-ENDLIST\n"), rest[place:]
    return found


def listed(*ones: One, is_whole: bool = False, is_over: bool = True) -> list[Entry]:
    """The entries of a session of these segments."""
    playlist = Playlist(TIMESCALE, is_whole=is_whole)
    for one in ones:
        one.offer(playlist)
    return entries(playlist.text(is_over=is_over))


def run(first: int, count: int, step: int, key_every: int, start: int = 0) -> list[One]:
    """Segments without a gap, `step` ticks apart."""
    return [One(first + n, start + n * step, step, n % key_every == 0) for n in range(count)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 1, 1, 2, 7]),
        st.one_of(st.integers(0, 400), st.integers(0, 3 * TARGET)),
        st.one_of(st.integers(0, 400), st.integers(0, 3 * TARGET)),
        st.sampled_from([True, False, False, False]),
    ),
    max_size=60,
)


def made(steps: list[tuple[int, int, int, bool]]) -> list[One]:
    """Segments from jumps in sequence, steps in time, durations and keyframes."""
    sequence, time, ones = -1, 0, []
    for jump, later, duration, is_key in steps:
        sequence, time = sequence + jump, time + later
        ones.append(One(sequence, time, duration, is_key))
    return ones


def shown(ones: list[One]) -> list[One]:
    """Those that can be decoded."""
    decoding = Decoding()
    return [one for one in ones if decoding.accepts(one.sequence, one.time, one.is_key)]


class RuleTests(SynchronousTestCase):
    """What holds of every session."""

    @given(STEPS, st.booleans())
    def test_only_grows(self, steps: list[tuple[int, int, int, bool]], is_whole: bool) -> None:
        """Each list begins with the one before; the closed one with the last of them."""
        playlist = Playlist(TIMESCALE, is_whole=False)
        before = playlist.text(is_over=False)
        for one in made(steps):
            one.offer(playlist)
            after = playlist.text(is_over=False)
            self.assertTrue(after.startswith(before))
            before = after
        closed = playlist.text(is_over=True)
        self.assertTrue(closed.startswith(before))
        self.assertTrue(closed.endswith(b"#EXT-X-ENDLIST\n"))
        self.assertEqual(playlist.text(is_over=False), before)

    @given(STEPS)
    def test_everything_once(self, steps: list[tuple[int, int, int, bool]]) -> None:
        """Every segment that can be decoded is in one entry, in order, and nothing else."""
        ones = made(steps)
        found = [n for one in listed(*ones) for n in range(one.first, one.last + 1)]
        self.assertEqual(found, [one.sequence for one in shown(ones)])

    @given(STEPS)
    def test_target_holds(self, steps: list[tuple[int, int, int, bool]]) -> None:
        """No entry is above the target duration, or more than one request may ask for."""
        for one in listed(*made(steps)):
            self.assertLessEqual(one.seconds, TARGET_SECONDS)
            self.assertLess(one.last - one.first, MAX_SEGMENTS)
        self.assertLessEqual(MAX_SEGMENTS, MAX_RANGE)

    @given(STEPS)
    def test_durations_add_up(self, steps: list[tuple[int, int, int, bool]]) -> None:
        """Between discontinuities the entries' times add up to the media time in between, and
        each discontinuity says when it goes on."""
        ones = {one.sequence: one for one in shown(made(steps))}
        begin, total = 0, 0.0
        previous: Entry | None = None
        for entry in listed(*ones.values()):
            start = ones[entry.first]
            if previous is None or entry.discontinuity:
                self.assertIsNotNone(entry.date)
                begin, total = start.time, 0.0
            else:
                self.assertIsNone(entry.date)
                self.assertEqual(entry.first, previous.last + 1)
                self.assertAlmostEqual(total, (start.time - begin) / TIMESCALE, 3)
            total += entry.seconds
            previous = entry

    @given(STEPS)
    def test_discontinuity_where_something_is_missing(
        self, steps: list[tuple[int, int, int, bool]]
    ) -> None:
        """There is one exactly where a sequence is missing or media time jumps too far."""
        ones = {one.sequence: one for one in shown(made(steps))}
        found = listed(*ones.values())
        for one, other in pairwise(found):
            jump = ones[other.first].time - ones[one.last].time
            expected = other.first != one.last + 1 or jump > TARGET
            self.assertEqual(other.discontinuity, expected)

    @given(STEPS)
    def test_independent(self, steps: list[tuple[int, int, int, bool]]) -> None:
        """A sealed session says that every entry begins with a keyframe only if it is so."""
        ones = made(steps)
        playlist = Playlist(TIMESCALE, is_whole=True)
        for one in ones:
            one.offer(playlist)
        text = playlist.text(is_over=True)
        keys = {one.sequence for one in ones if one.is_key}
        are_keys = all(entry.first in keys for entry in entries(text))
        self.assertEqual(b"#EXT-X-INDEPENDENT-SEGMENTS\n" in text, are_keys)


class CutTests(SynchronousTestCase):
    """Where a session is cut."""

    def ranges(self, *ones: One) -> list[tuple[int, int, float]]:
        """First, last and seconds of each entry."""
        return [(one.first, one.last, one.seconds) for one in listed(*ones)]

    def test_at_keyframes(self) -> None:
        """An interval lasts until the next keyframe, whatever its frames declare."""
        ones = [One(0, 0, 200, True), One(1, 350, 200, False), One(2, 900, 100, True)]
        self.assertEqual(self.ranges(*ones), [(0, 1, 0.9), (2, 2, 0.1)])

    def test_at_the_target(self) -> None:
        """An interval that is too long is cut where the target would be passed."""
        ones = run(0, 100, 200, 100)
        self.assertEqual(self.ranges(*ones), [(0, 59, 12.0), (60, 99, 8.0)])
        slow = run(0, 6, 5_000, 100)
        self.assertEqual(self.ranges(*slow), [(0, 1, 10.0), (2, 3, 10.0), (4, 5, 10.0)])

    def test_listed_once_it_is_too_long(self) -> None:
        """An interval without an end is listed as far as nothing can change it."""
        ones = run(0, 62, 200, 100)
        self.assertEqual(listed(*ones[:61], is_over=False), [])
        self.assertEqual([one.last for one in listed(*ones, is_over=False)], [59])

    def test_many_segments(self) -> None:
        """An interval has no more segments than one request may ask for."""
        ones = run(0, 2_300, 1, 10_000)
        found = [one[:2] for one in self.ranges(*ones)]
        self.assertEqual(found, [(0, 999), (1_000, 1_999), (2_000, 2_299)])

    def test_a_frame_that_stays(self) -> None:
        """A frame that is shown for longer than the target counts as long as that; what comes
        after it begins anew."""
        ones = [One(0, 0, 90_000, True), One(1, 90_000, 200, True), One(2, 90_200, 200, False)]
        first, second = listed(*ones)
        self.assertEqual((first.seconds, second.seconds), (12.0, 0.4))
        self.assertTrue(second.discontinuity)
        self.assertEqual(second.date, "2024-01-01T00:01:30.000Z")
        # The last frame alone would make it too long.
        ones = [One(0, 0, 200, True), One(1, 11_900, 200, False)]
        self.assertEqual(self.ranges(*ones), [(0, 0, 11.9), (1, 1, 0.2)])

    def test_a_stall(self) -> None:
        """A stall without a gap keeps the frames before it together."""
        ones = [*run(0, 10, 200, 10), *run(10, 5, 200, 5, start=60_000)]
        self.assertEqual(self.ranges(*ones), [(0, 9, 2.0), (10, 14, 1.0)])

    def test_gap(self) -> None:
        """Before a gap an interval ends with its frames, and is listed when the gap is seen."""
        ones = [*run(0, 3, 200, 5), One(4, 800, 200, False)]
        self.assertEqual([one.last for one in listed(*ones, is_over=False)], [2])
        self.assertEqual(self.ranges(*ones), [(0, 2, 0.6)])

    def test_times_without_a_name(self) -> None:
        """A session of an age that no calendar has is listed without times."""
        playlist = Playlist(TIMESCALE, is_whole=False)
        playlist.offer(0, 0, 200, 2**62, True)
        self.assertEqual([one.date for one in entries(playlist.text(is_over=True))], [None])

    def test_nothing(self) -> None:
        """A list of nothing is a list."""
        playlist = Playlist(TIMESCALE, is_whole=False)
        self.assertEqual(entries(playlist.text(is_over=False)), [])
        self.assertEqual(
            playlist.text(is_over=True),
            playlist.text(is_over=False) + b"#EXT-X-ENDLIST\n",
        )
