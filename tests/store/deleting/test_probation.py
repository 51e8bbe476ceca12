"""Tests of policies that are new to a data folder."""

from __future__ import annotations

import os

from twisted.logger import capturedLogs

from tests.store.deleting.test_remover import DAY_US, RemoverCase
from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival
from vidlink.errors import StoreError
from vidlink.model import Candidate, Policy, Waiting, WaitReason
from vidlink.store.deleting import remover
from vidlink.store.deleting.probation import WAIT_SECONDS
from vidlink.store.deleting.remover import LOOK_SECONDS
from vidlink.store.sequences.trusted import BELIEVED_SECONDS

SOON = Policy(max_bytes=1)


class ProbationTests(RemoverCase):
    """Recordings of a folder without a policy, and one that would delete them."""

    def starts(self, policy: Policy, leapt_us: int = 0) -> Rig:
        """The next start, by `policy`, with the wall clock so far ahead."""
        self.rig.store.stop()
        now_us = self.rig.now_us
        self.rig = Rig(self.rig.path, policy=policy, now_us=now_us, leapt_us=leapt_us)
        self.rig.settle()
        return self.rig

    def waiting(self) -> list[Waiting]:
        """What is waited for."""
        return list(self.successResultOf(self.rig.store.keeping.retention(10)).waiting)

    def passes(self, seconds: float) -> None:
        """Time passes."""
        for _ in range(12):
            self.rig.clock.advance(seconds / 12)
            self.rig.settle()

    def by_both_clocks(self, seconds: float) -> None:
        """Time passes, by the wall clock too."""
        for _ in range(12):
            self.rig.now_us += round(seconds / 12 * 1_000_000)
            self.rig.settle()

    def test_much(self) -> None:
        """A new policy that would delete much waits for ten minutes, says for how long and how to
        stop it, and then does what it says."""
        with capturedLogs() as logged:
            self.starts(SOON)
            self.passes(WAIT_SECONDS - 30)
        (waiting,) = self.waiting()
        self.assertIs(waiting.reason, WaitReason.POLICY)
        self.assertIn("--retain-dry-run", waiting.text)
        assert waiting.seconds is not None
        self.assertTrue(0 < waiting.seconds < WAIT_SECONDS / 2, waiting)
        said = [one for one in logged if "the policy is new" in one["log_format"]]
        self.assertEqual([one["log_level"].name for one in said], ["warn"])
        self.assertIn("--retain-dry-run", said[0]["stop"])
        plan = self.successResultOf(self.rig.store.keeping.retention(10))
        self.assertEqual((len(plan.due), len(self.listed())), (3, 3))
        self.passes(120)
        self.assertEqual((self.listed(), self.waiting()), ([], []))

    def test_stopped_in_time(self) -> None:
        """Whoever stops the server within that time has lost nothing, and the next start with the
        policy waits anew; by another one nothing goes."""
        for _ in range(2):
            self.starts(SOON)
            self.passes(WAIT_SECONDS - 60)
            self.assertEqual(len(self.listed()), 3)
        self.starts(Policy(max_bytes=10**9))
        self.passes(2 * WAIT_SECONDS)
        self.assertEqual(len(self.listed()), 3)

    def test_in_force(self) -> None:
        """A policy that has been in force deletes at once, after a start too; another one waits
        again."""
        self.starts(SOON)
        self.passes(2 * WAIT_SECONDS)
        self.over(a_session(5))
        self.starts(SOON)
        self.assertEqual(self.listed(), [])
        self.over(a_session(6))
        self.starts(Policy(max_bytes=2))
        self.passes(WAIT_SECONDS - 60)
        self.assertEqual(len(self.listed()), 1)

    def test_little(self) -> None:
        """One that would delete a tenth or less does not wait: of sessions, and of octets."""
        for number in range(10, 30):
            self.over(a_session(number))
        total = self.successResultOf(self.rig.store.keeping.retention(1)).totals
        self.starts(Policy(max_bytes=total.bytes - 1))
        self.passes(LOOK_SECONDS)
        self.assertEqual(len(self.listed()), 22)

    def test_few_and_large(self) -> None:
        """One that would delete few sessions and many octets waits."""
        for number in range(10, 30):
            self.over(a_session(number))
        self.rig.store.ledger.begin(a_session(-1), lambda sequence: None)
        for sequence in range(300):
            one = an_arrival(a_session(-1), sequence)
            self.rig.store.ledger.append(a_session(-1).session_id, one)
        self.rig.store.ledger.end(a_session(-1).session_id, "over", 5)
        self.rig.settle()
        total = self.successResultOf(self.rig.store.keeping.retention(1)).totals
        self.starts(Policy(max_bytes=total.bytes - 1))
        self.assertEqual([one.reason for one in self.waiting()], [WaitReason.POLICY])
        self.assertEqual(len(self.listed()), 24)

    def test_empty_folder(self) -> None:
        """With a policy from the first start on, nothing ever waits."""
        rig = Rig(self.mktemp(), policy=SOON)
        self.addCleanup(rig.close)
        rig.settle()
        self.rig.store.stop()
        self.rig = rig
        self.over(a_session(5))
        self.tick()
        self.assertEqual(self.listed(), [])

    def test_full_disk(self) -> None:
        """On a disk that is full a policy that wants room makes some at once, session by session,
        so that recording goes on; the rest waits."""
        self.starts(Policy(min_free_bytes=10**30))
        self.passes(30)
        self.assertEqual(len(self.listed()), 3)
        self.rig.store._removals.full()
        self.rig.clock.advance(LOOK_SECONDS)
        self.rig.settle()
        self.assertEqual(len(self.listed()), 2)

    def test_unreadable_note(self) -> None:
        """A note of the policy that cannot be read is that of another policy."""
        self.starts(SOON)
        self.passes(2 * WAIT_SECONDS)
        self.over(a_session(5))
        for text in ("", "null", '{"format": 1, "max_age_us": "x"}'):
            self.rig.store.stop()
            with open(os.path.join(self.rig.path, "policy.json"), "w") as note:
                note.write(text)
            self.starts(SOON)
            self.passes(60)
            self.assertEqual(len(self.listed()), 1)

    def test_unreadable_database(self) -> None:
        """A database that cannot be read for a moment does not say that nothing would go: the wait
        begins when it can."""

        def fails(catalog: object, count: int) -> list[Candidate]:
            raise StoreError("the database is busy")

        with capturedLogs() as logged:
            patch = self.patch(remover, "candidates", fails)
            self.starts(SOON)
            self.passes(120)
            patch.restore()
        said = [one for one in logged if one.get("reason") == "the database is busy"]
        self.assertEqual(len(said), 1)
        self.passes(WAIT_SECONDS - 60)
        self.assertEqual([one.reason for one in self.waiting()], [WaitReason.POLICY])
        self.assertEqual(len(self.listed()), 3)
        self.passes(240)
        self.assertEqual(self.listed(), [])

    def test_clock_in_doubt(self) -> None:
        """While the clock is in doubt nobody knows what a bound of age would delete: the wait
        begins when the clock is believed, and whoever sets it right has lost nothing."""
        policy = Policy(max_age_us=30 * DAY_US)
        self.starts(policy, leapt_us=60 * DAY_US)
        self.by_both_clocks(BELIEVED_SECONDS - 120)
        self.assertEqual(self.waiting()[0].reason, WaitReason.POLICY)
        self.assertEqual(len(self.listed()), 3)
        self.rig.leapt_us = 0
        self.by_both_clocks(2 * WAIT_SECONDS)
        self.assertEqual((self.waiting(), len(self.listed())), ([], 3))
        self.starts(Policy(max_age_us=29 * DAY_US), leapt_us=60 * DAY_US)
        self.by_both_clocks(BELIEVED_SECONDS - 120)
        self.starts(Policy(max_age_us=29 * DAY_US), leapt_us=60 * DAY_US)
        self.assertEqual(
            [one.reason for one in self.waiting()], [WaitReason.POLICY, WaitReason.CLOCK]
        )
        self.by_both_clocks(240 + WAIT_SECONDS / 2)
        self.assertEqual([one.reason for one in self.waiting()], [WaitReason.POLICY])
        self.assertEqual(len(self.listed()), 3)
        self.by_both_clocks(WAIT_SECONDS)
        self.assertEqual(self.listed(), [])

    def test_always_in_doubt(self) -> None:
        """On a server that is never on for an hour at a time, whose clock is always in doubt, a
        new policy comes into force all the same: after ten minutes if it would delete much, and
        at once if it would not, whichever clock is right."""
        self.by_both_clocks(BELIEVED_SECONDS)
        for policy, is_much in (
            (Policy(max_age_us=10**6), True),
            (Policy(max_age_us=10**14), False),
        ):
            self.rig.now_us += DAY_US
            self.starts(policy, leapt_us=DAY_US)
            waiting = [one for one in self.waiting() if one.reason is WaitReason.POLICY]
            self.assertEqual(["a tenth" in one.text for one in waiting], [True] * is_much)
            self.assertEqual(len(self.listed()), 3 * is_much)
            self.by_both_clocks(WAIT_SECONDS + 120)
            self.assertEqual(self.listed(), [])

    def test_rehearsal(self) -> None:
        """A rehearsal neither waits nor counts as having been in force."""
        self.starts(Policy(max_bytes=1, is_rehearsal=True))
        self.passes(2 * WAIT_SECONDS)
        self.assertEqual(self.waiting(), [])
        self.starts(SOON)
        self.passes(60)
        self.assertEqual(len(self.listed()), 3)
