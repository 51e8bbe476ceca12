"""Which sessions a policy lets go: the documented order, by example and by property."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import Candidate, DeletionReason, Due, Policy, SessionState
from vidlink.store.deleting.policy import in_order, what_goes
from vidlink.store.sequences.times import SEALING_US

HOUR_US = 3_600_000_000
NOW_US = 1_000 * HOUR_US
STATES = st.sampled_from(list(SessionState))


def a_candidate(number: int, ended_hours_ago: float, **changes: object) -> Candidate:
    """Sealed, and 100 octets, unless said."""
    ended_us = NOW_US - int(ended_hours_ago * HOUR_US)
    one = Candidate("desk-1", f"session-{number:08d}", SessionState.SEALED, ended_us, 100)
    return replace(one, **changes)  # type: ignore[arg-type]


def gone(policy: Policy, *candidates: Candidate, free: int = 0, full: bool = False) -> list[Due]:
    """What goes, when these are all there is."""
    total = sum(one.size_bytes for one in candidates)
    return list(
        what_goes(
            policy, candidates, total_bytes=total, free_bytes=free, now_us=NOW_US, is_full=full
        )
    )


def names(due: list[Due]) -> list[tuple[int, str]]:
    """The numbers of sessions, and why they go."""
    return [(int(one.candidate.session_id[-8:]), one.reason.value) for one in due]


OLD, NEWER, ENDED = (
    a_candidate(1, 50),
    a_candidate(2, 40),
    a_candidate(3, 2, state=SessionState.ENDED),
)


class ExampleTests(SynchronousTestCase):
    """One bound at a time, and all together."""

    def test_off(self) -> None:
        """Without any bound nothing ever goes, full disk or not."""
        self.assertTrue(Policy().is_off)
        self.assertEqual(gone(Policy(), OLD, NEWER, ENDED, full=True), [])

    def test_age(self) -> None:
        """By age goes what ended so long ago, to the microsecond."""
        policy = Policy(max_age_us=40 * HOUR_US)
        self.assertEqual(names(gone(policy, NEWER, OLD, ENDED)), [(1, "age"), (2, "age")])
        younger = replace(NEWER, ended_time_us=NOW_US - 40 * HOUR_US + 1)
        self.assertEqual(names(gone(policy, younger, OLD)), [(1, "age")])

    def test_bytes(self) -> None:
        """Of what is too much goes just enough, the oldest first."""
        for most, count in ((300, 0), (299, 1), (200, 1), (199, 2), (0, 3)):
            due = names(gone(Policy(max_bytes=most), ENDED, NEWER, OLD))
            self.assertEqual(due, [(1, "bytes"), (2, "bytes"), (3, "bytes")][:count])

    def test_space(self) -> None:
        """The disk gets as much as it is to have, and no more."""
        for free, count in ((150, 0), (149, 1), (50, 1), (49, 2)):
            due = names(gone(Policy(min_free_bytes=150), OLD, NEWER, ENDED, free=free))
            self.assertEqual(due, [(1, "space"), (2, "space")][:count])

    def test_full(self) -> None:
        """When a write found no room, one goes at least, whatever the disk says that it has; but
        only where room is to be kept."""
        policy = Policy(min_free_bytes=10)
        due = names(gone(policy, OLD, NEWER, free=1_000, full=True))
        self.assertEqual(due, [(1, "space")])
        self.assertEqual(gone(Policy(max_bytes=10_000), OLD, full=True), [])

    def test_what_is_left_counts(self) -> None:
        """What goes for one reason is room and bytes for the others."""
        policy = Policy(max_age_us=45 * HOUR_US, max_bytes=200, min_free_bytes=100)
        self.assertEqual(names(gone(policy, OLD, NEWER, ENDED)), [(1, "age")])
        policy = Policy(max_age_us=45 * HOUR_US, max_bytes=100, min_free_bytes=300)
        self.assertEqual(
            names(gone(policy, OLD, NEWER, ENDED)), [(1, "age"), (2, "bytes"), (3, "space")]
        )

    def test_sealed_first(self) -> None:
        """An ended session, whose tail may still come, goes after every sealed one, however much
        later that ended; after a day it counts as sealed."""
        early_ended = a_candidate(1, 20, state=SessionState.ENDED)
        late_sealed = a_candidate(2, 1)
        policy = Policy(max_bytes=100)
        self.assertEqual(names(gone(policy, early_ended, late_sealed)), [(2, "bytes")])
        due_us = NOW_US - SEALING_US
        by_now_sealed = replace(early_ended, ended_time_us=due_us)
        self.assertEqual(names(gone(policy, by_now_sealed, late_sealed)), [(1, "bytes")])

    def test_never(self) -> None:
        """What is live or held stays, whatever the bounds."""
        policy = Policy(max_age_us=0, max_bytes=0, min_free_bytes=10**9)
        live = a_candidate(1, 0, state=SessionState.LIVE, ended_time_us=None)
        held = a_candidate(2, 1_000, is_held=True)
        self.assertEqual(gone(policy, live, held, full=True), [])


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        sentinel_id=st.just("desk-1"),
        session_id=st.integers(0, 10**6).map(lambda number: f"session-{number:08d}"),
        state=STATES,
        ended_time_us=st.one_of(st.none(), st.integers(NOW_US - 100 * HOUR_US, NOW_US + HOUR_US)),
        size_bytes=st.integers(0, 1_000),
        is_held=st.booleans(),
    ),
    unique_by=lambda one: one.session_id,
    max_size=12,
)
BOUNDS = st.one_of(st.none(), st.integers(0, 5_000))
POLICIES = st.builds(
    Policy,
    max_age_us=st.one_of(st.none(), st.integers(0, 100 * HOUR_US)),
    max_bytes=BOUNDS,
    min_free_bytes=BOUNDS,
)


class PropertyTests(SynchronousTestCase):
    """Whatever there is and whatever the policy."""

    @given(POLICIES, CANDIDATES, st.integers(0, 5_000), st.booleans())
    def test_only_what_may(
        self, policy: Policy, candidates: list[Candidate], free: int, full: bool
    ) -> None:
        """Nothing goes that is live or held, nothing twice, and what stays is never before what
        goes in the order, but for age."""
        due = gone(policy, *candidates, free=free, full=full)
        went = [one.candidate for one in due]
        self.assertEqual(len({one.session_id for one in went}), len(went))
        order = in_order(candidates, NOW_US)
        self.assertLessEqual({one.session_id for one in went}, {one.session_id for one in order})
        for one in went:
            self.assertFalse(one.is_held or one.state is SessionState.LIVE)
        aged = [one.candidate for one in due if one.reason is DeletionReason.AGE]
        rest = [one for one in order if one not in aged]
        others = [one for one in went if one not in aged]
        self.assertEqual(others, rest[: len(others)])

    @given(POLICIES, CANDIDATES, st.integers(0, 5_000))
    def test_enough_and_no_more(
        self, policy: Policy, candidates: list[Candidate], free: int
    ) -> None:
        """Afterwards every bound holds, or there is nothing left that may go; and without the
        last that went for bytes or space one of these bounds would not hold."""
        due = gone(policy, *candidates, free=free)
        size = sum(one.candidate.size_bytes for one in due)
        total = sum(one.size_bytes for one in candidates) - size

        def holds(total: int, free: int) -> bool:
            return (policy.max_bytes is None or total <= policy.max_bytes) and (
                policy.min_free_bytes is None or free >= policy.min_free_bytes
            )

        is_empty = len(due) == len(in_order(candidates, NOW_US))
        self.assertTrue(is_empty or holds(total, free + size))
        if due and due[-1].reason is not DeletionReason.AGE:
            last = due[-1].candidate.size_bytes
            self.assertFalse(holds(total + last, free + size - last))

    @given(POLICIES, CANDIDATES, st.randoms())
    def test_order_of_asking(
        self, policy: Policy, candidates: list[Candidate], random: object
    ) -> None:
        """What goes does not depend on the order in which candidates are named."""
        shuffled = candidates.copy()
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        self.assertEqual(gone(policy, *candidates), gone(policy, *shuffled))
