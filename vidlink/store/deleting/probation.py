"""Policies that are new to a data folder: one that would delete much at once waits for a while.

A number that was typed wrong is found in the log, or by whoever misses something; not after all
has gone. Which policy was in force before is kept in the data folder (`files.notes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import Due, Policy, Totals, Waiting, WaitReason
from vidlink.quantities import count, length, size
from vidlink.store.files.notes import read_policy, write_policy
from vidlink.store.sequences.trusted import TrustedTime

#: A new policy that would delete more than this part of all sessions, or of their octets, waits
SHARE = 10
#: for so long.
WAIT_SECONDS = 600.0
#: The way to stop what nobody wanted.
STOP = "to keep them, start the server with --retain-dry-run, or with other bounds"


class Probation:
    """The time in which nothing is deleted by `policy`, if it is new here and would delete much.

    What would be much only if a clock that is in doubt is right is not known to be: the wait
    begins when that is known.

    :param path: where the policy in force is kept.
    :param monotonic: seconds that never go back.
    :param trusted: the time by which ages count, and the doubt that there is about the clock.
    """

    _log = Logger()

    def __init__(
        self,
        policy: Policy,
        path: str,
        disk: Disk,
        monotonic: Callable[[], float],
        trusted: TrustedTime,
    ) -> None:
        self._policy = replace(policy, is_rehearsal=False)
        self._path = path
        self._disk = disk
        self._monotonic = monotonic
        self._trusted = trusted
        self._end_seconds: float | None = None
        #: The policy has been in force before, or nothing is deleted by it.
        self.is_over = policy.is_off or policy.is_rehearsal
        self.is_over = self.is_over or read_policy(path, disk) == self._policy

    def waiting(
        self, due: Callable[[int, int], Sequence[Due]], totals: Callable[[], Totals]
    ) -> list[Waiting]:
        """The wait that is left; empty, from then on too, if the policy may delete.

        `due` gives the first sessions that would go, so many at most, if it were the time given.

        :raises ~vidlink.errors.StoreError: if it cannot be found out; then the policy is as new
            as before.
        """
        now = self._monotonic()
        if self._end_seconds is None:
            whole, doubt = totals(), self._trusted.doubt()
            most = whole.sessions // SHARE + 1
            found = due(most, self._trusted.ages_from_us())
            if _is_much(found, whole):
                self._say(found, whole)
                self._end_seconds = now + WAIT_SECONDS
            elif doubt is not None and _is_much(due(most, self._trusted.latest_us()), whole):
                text = f"the policy is new, and this machine's clock is in doubt; {STOP}"
                return [Waiting(WaitReason.POLICY, text, doubt.seconds)]
            else:
                self._end()
                return []
        left = self._end_seconds - now
        if left <= 0:
            self._end()
            return []
        text = f"the policy is new, and would delete more than a tenth of all recordings; {STOP}"
        return [Waiting(WaitReason.POLICY, text, left)]

    def _say(self, found: Sequence[Due], totals: Totals) -> None:
        """Say that the policy would delete much at once."""
        self._log.warn(
            "the policy is new here, and would delete more than a tenth of what is recorded "
            "({sessions} or more of {all_sessions}, {octets} or more of {all_octets}): nothing "
            "is deleted by it for {wait}; {stop}",
            sessions=len(found),
            all_sessions=count(totals.sessions, "session"),
            octets=size(_octets(found)),
            all_octets=size(totals.bytes),
            wait=length(WAIT_SECONDS),
            stop=STOP,
        )

    def _end(self) -> None:
        """Let the policy be in force, and known to be at the next start."""
        self.is_over = True
        try:
            write_policy(self._path, self._policy, self._disk)
        except OSError as error:
            self._log.warn("{path} cannot be written: {why}", path=self._path, why=str(error))


def _is_much(found: Sequence[Due], totals: Totals) -> bool:
    """Tell whether that is more than a tenth of all, in sessions or in octets."""
    return len(found) * SHARE > totals.sessions or _octets(found) * SHARE > totals.bytes


def _octets(found: Sequence[Due]) -> int:
    return sum(one.candidate.size_bytes for one in found)
