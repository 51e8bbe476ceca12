"""The watch over the clock, in the remover's thread: its time is kept, and its leaps are told of.

Which time is trusted is decided in `sequences.trusted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import Candidate, Policy, Waiting, WaitReason
from vidlink.quantities import count, length
from vidlink.store.deleting.policy import is_too_old
from vidlink.store.files.notes import write_seen
from vidlink.store.sequences.trusted import Doubt, TrustedTime

#: So often it is written down what the data folder has seen of time.
KEEP_SECONDS = 60.0
#: A clock that shows another time than this much is worth a line.
ALARM_US = 3_600 * 1_000_000


class ClockWatch:
    """The watch over `trusted`, which is kept at `path`."""

    _log = Logger()

    def __init__(self, trusted: TrustedTime, path: str, disk: Disk, policy: Policy) -> None:
        self._trusted = trusted
        self._path = path
        self._disk = disk
        self._policy = policy
        self._kept_seconds = float("-inf")
        self._complaint = ""
        self._is_alarmed = False

    def look(self, now: float) -> None:
        """Keep what was seen, and say when the clock has leapt, and when that is over."""
        doubt = self._trusted.doubt()
        is_alarmed = doubt is not None and abs(doubt.ahead_us) >= ALARM_US
        if doubt is not None and is_alarmed and not self._is_alarmed:
            self._log.error("{words}: {what}", words=words(doubt), what=_what_follows(doubt))
        elif self._is_alarmed and not is_alarmed:
            self._log.info("this machine's clock is trusted again")
        self._is_alarmed = is_alarmed
        if now - self._kept_seconds >= KEEP_SECONDS:
            self._kept_seconds = now
            self.keep()

    def keep(self) -> None:
        """Write down what the data folder has seen of time."""
        seen, complaint = self._trusted.seen(), ""
        try:
            if seen is not None:
                write_seen(self._path, seen, self._disk)
        except OSError as error:
            complaint = error.strerror or str(error)
            if complaint != self._complaint:
                self._log.warn("{path} cannot be written: {why}", path=self._path, why=complaint)
        self._complaint = complaint

    def waiting(self, candidates: Callable[[], Iterable[Candidate]]) -> list[Waiting]:
        """The wait of what would be too old if the clock were right; empty if nothing would.

        Where the clock must be wrong, there is no end to it.
        """
        doubt = self._trusted.doubt()
        if doubt is None or self._policy.max_age_us is None:
            return []
        if doubt.ahead_us < 0:
            text = f"{words(doubt)}; {_what_follows(doubt)}"
            return [Waiting(WaitReason.CLOCK, text, doubt.seconds)] if self._is_alarmed else []
        trusted_us = self._trusted.now_us()
        kept = sum(
            not is_too_old(self._policy, one, trusted_us)
            and is_too_old(self._policy, one, trusted_us + doubt.ahead_us)
            for one in candidates()
        )
        if not kept:
            return []
        text = f"{words(doubt)}; {count(kept, 'session')} would be too old if it is right"
        return [Waiting(WaitReason.CLOCK, text, doubt.seconds)]


def words(doubt: Doubt) -> str:
    """The doubt about a clock in words."""
    by = length(abs(doubt.ahead_us) / 1e6)
    way = "ahead of" if doubt.ahead_us > 0 else "behind"
    return f"this machine's clock is {by} {way} all that was seen of time here"


def _what_follows(doubt: Doubt) -> str:
    """The rest of the sentence: what is done, and what to do."""
    if doubt.seconds is None:
        return "what is old is told without it; set it right"
    return (
        "it is wrong, or the server was off for so long. Nothing is sealed or deleted by it before "
        f"it has been steady for an hour, in {length(doubt.seconds)}; if it is wrong, set it right"
    )
