"""Tests of the roster: a viewer that remembers one number is sent what is new to it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import RecordingState, SentinelState, SentinelStatus
from vidlink.relay.roster import SEGMENT_TIME_STEP_US, Roster


def row(name: str, /, **other: object) -> SentinelStatus:
    """A live Sentinel, but for what is said otherwise."""
    plain = SentinelStatus(
        name, name, "office", SentinelState.LIVE, None, 5_000, 1_000, RecordingState.OK
    )
    return replace(plain, **other)  # type: ignore[arg-type]


class RosterTests(SynchronousTestCase):
    """Rows and versions."""

    def test_empty(self) -> None:
        """Nothing published is version 0, and publishing nothing is no news."""
        roster = Roster()
        self.assertEqual((roster.version, roster.since(0)), (0, ()))
        self.assertFalse(roster.publish([]))
        self.assertEqual(roster.version, 0)

    def test_deltas(self) -> None:
        """From a version on, the rows that changed after it; from 0 on, all of them."""
        roster = Roster()
        self.assertTrue(roster.publish([row("b"), row("a")]))
        first = roster.version
        stale = row("b", state=SentinelState.STALE)
        self.assertTrue(roster.publish([stale, row("a")]))
        self.assertEqual(roster.since(first), (stale,))
        self.assertEqual(roster.since(0), (row("a"), stale))
        self.assertEqual(roster.since(roster.version), ())

    def test_unchanged(self) -> None:
        """Rows as they were make no new version."""
        roster = Roster()
        roster.publish([row("a")])
        version = roster.version
        self.assertFalse(roster.publish([row("a")]))
        self.assertEqual(roster.version, version)

    def test_every_field_is_news(self) -> None:
        """A change of anything but the last time is news."""
        changes: tuple[dict[str, object], ...] = (
            {"name": "x"},
            {"group": "x"},
            {"state": SentinelState.OFFLINE},
            {"session_id": "x"},
            {"framerate_mhz": 200},
            {"recording": RecordingState.TROUBLE},
        )
        for change in changes:
            roster = Roster()
            roster.publish([row("a")])
            self.assertTrue(roster.publish([row("a", **change)]), change)

    def test_last_time_alone(self) -> None:
        """That segments go on coming is told every few seconds, not with every one."""
        roster = Roster()
        roster.publish([row("a")])
        almost = row("a", last_segment_time_us=1_000 + SEGMENT_TIME_STEP_US - 1)
        self.assertFalse(roster.publish([almost]))
        self.assertTrue(
            roster.publish([row("a", last_segment_time_us=1_000 + SEGMENT_TIME_STEP_US)])
        )

    def test_first_time(self) -> None:
        """The very first segment is news."""
        roster = Roster()
        roster.publish([row("a", last_segment_time_us=None)])
        self.assertTrue(roster.publish([row("a", last_segment_time_us=1)]))

    def test_clock_set_back(self) -> None:
        """A Sentinel whose clock was set back is told of again within the step."""
        roster = Roster()
        roster.publish([row("a", last_segment_time_us=100 * SEGMENT_TIME_STEP_US)])
        self.assertTrue(roster.publish([row("a", last_segment_time_us=0)]))

    def test_frames_are_of_one_version(self) -> None:
        """What was encoded of the list is forgotten with its version."""
        roster = Roster()
        roster.publish([row("a")])
        roster.frames["vidlink.v1.json", 0, None] = b""
        roster.publish([row("a")])
        self.assertEqual(len(roster.frames), 1)
        roster.publish([row("b")])
        self.assertEqual(len(roster.frames), 0)

    def test_gone(self) -> None:
        """Of a row that has gone viewers hear by the whole list, in one version for all of them."""
        roster = Roster()
        roster.publish([row("a"), row("b")])
        self.assertFalse(roster.renew())
        seen = roster.version
        roster.forget("b")
        roster.forget("never-there")
        self.assertEqual(roster.since(seen), ())
        self.assertTrue(roster.renew())
        self.assertFalse(roster.renew())
        self.assertEqual((roster.full_version, roster.since(seen)), (seen + 1, (row("a"),)))
        self.assertEqual(roster.since(roster.version), ())

    @given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(SentinelState))))
    def test_nobody_misses_anything(self, rounds: list[dict[str, SentinelState]]) -> None:
        """Whoever applies the deltas, however seldom, has the rows as they are."""
        roster = Roster()
        truth: dict[str, SentinelState] = {}
        often: dict[str, SentinelState] = {}
        seldom: dict[str, SentinelState] = {}
        seen_often = seen_seldom = 0
        for number, changes in enumerate(rounds):
            truth.update(changes)
            roster.publish([row(name, state=state) for name, state in truth.items()])
            often.update((one.sentinel_id, one.state) for one in roster.since(seen_often))
            seen_often = roster.version
            if number % 3 == 2:
                seldom.update((one.sentinel_id, one.state) for one in roster.since(seen_seldom))
                seen_seldom = roster.version
                self.assertEqual(seldom, truth)
            self.assertEqual(often, truth)
