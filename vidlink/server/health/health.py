"""The checks that the server does what it is for, and who is told when it does not.

Looked at once a second: the answers of ``/readyz``, the log and the alarm of Proctors come from
here; what each Sentinel's row says comes from the store itself. Numbers are in
:mod:`vidlink.server.health.metrics`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from vidlink.errors import RecordingTrouble, VidlinkError
from vidlink.interfaces import IArchive, IVitals
from vidlink.model import Cause, DiskSpace, RecordingHealth, SessionQuery
from vidlink.quantities import waiting_words
from vidlink.relay.hub import Hub

#: The disk is looked at so often, and may take so long to answer.
LOOK_SECONDS = 5.0
#: With less room than this on the disk, or than this part of it, the server is not ready.
LEAST_FREE_BYTES = 256 * 1024 * 1024
LEAST_FREE_PART = 0.05
#: Where the store makes room itself it has this many looks of time for it.
SHORT_LOOKS = 2
#: With a queue that is fuller than this, neither.
MOST_LOAD = 0.75
#: While trouble lasts the log says so this often.
REPEAT_SECONDS = 60.0
#: For so long all has to be well before the log says that it is over.
CALM_SECONDS = 10.0
#: Of this many ticks the longest delay is remembered.
_LAGS = 60

OK = "ok"
#: The check of the audit trail, which tells of itself in the log.
AUDIT = "audit"
#: The check that is no reason not to send anybody here: everything is recorded and shown.
RETENTION = "retention"
#: Why sequences are missing that the server itself could not keep.
_OURS = (Cause.QUEUE_FULL, Cause.DISK_FULL, Cause.WRITE_ERROR)


class Health:
    """The state of all that is checked, and its memory of trouble.

    :param vitals: the recording.
    :param archive: its reading side.
    :param seconds: the monotonic clock.
    :param tick_seconds: how often :meth:`tick` is called.
    :param min_free_bytes: how much room the store itself keeps by deleting; None: it keeps none.
    :param audit_trouble: why the audit trail cannot be written, now; empty: it can.
    """

    _log = Logger()

    def __init__(
        self,
        vitals: IVitals,
        archive: IArchive,
        hub: Hub,
        seconds: Callable[[], float],
        *,
        tick_seconds: float = 1.0,
        min_free_bytes: int | None = None,
        audit_trouble: Callable[[], str] = lambda: "",
    ) -> None:
        self._vitals = vitals
        self._archive = archive
        self._hub = hub
        self._seconds = seconds
        self._tick_seconds = tick_seconds
        self._min_free_bytes = min_free_bytes
        self._audit_trouble = audit_trouble
        #: So often the disk had too little room, one look after the other.
        self._short_looks = 0
        self._ticked_seconds: float | None = None
        self._lags: deque[float] = deque([0.0], maxlen=_LAGS)
        #: The room on the disk when it was last looked at; None if that could not be done.
        self.space: DiskSpace | None = None
        self._asked_seconds = float("-inf")
        self._is_asking = False
        self._is_unreadable = False
        self._begun_seconds: float | None = None
        self._bad_seconds = float("-inf")
        self._told_seconds = float("-inf")
        self._lost = self._lost_told = 0

    @property
    def lag_seconds(self) -> float:
        """The longest that the reactor was late in the last minute."""
        return max(self._lags)

    def checks(self) -> dict[str, str]:
        """The checks by name: `OK`, or in words what is wrong, without names."""
        return self._checks(self._vitals.health())

    def _checks(self, health: RecordingHealth) -> dict[str, str]:
        store = recording = queue = OK
        if not health.is_open:
            store = "the recordings are not open"
        elif self._is_unreadable:
            store = "the recordings cannot be read"
        if health.troubled or health.trouble is not None:
            why = "the disk does not keep up" if health.trouble is None else health.trouble.text
            recording = f"{health.troubled} of {health.live} sessions not recorded: {why}"
        elif health.index_trouble is not None:
            recording = f"recordings go on, but {health.index_trouble.text}"
        if health.load >= MOST_LOAD:
            queue = f"the queue for the disk is {health.load:.0%} full".replace("%", " %")
        told = "; ".join(waiting_words(one) for one in health.undeleted)
        checks = {"store": store, "recording": recording, "queue": queue, "disk": self._disk()}
        return checks | {AUDIT: self._audit_trouble() or OK, RETENTION: told or OK}

    def _disk(self) -> str:
        if self._is_asking and self._seconds() - self._asked_seconds > LOOK_SECONDS:
            return "the disk does not answer"
        if self.space is None or not self._is_short(self.space):
            return OK
        # Where room is made, it is made after it has become too little, and takes a moment.
        if self._min_free_bytes is not None and self._short_looks < SHORT_LOOKS:
            return OK
        return f"only {self.space.free_bytes // 1_000_000} MB are free on the disk"

    def _is_short(self, space: DiskSpace) -> bool:
        if self._min_free_bytes is not None:
            return space.free_bytes < self._min_free_bytes
        return space.free_bytes < min(LEAST_FREE_BYTES, space.total_bytes * LEAST_FREE_PART)

    def tick(self) -> None:
        """To be called about once a second."""
        now = self._seconds()
        if self._ticked_seconds is not None:
            self._lags.append(max(0.0, now - self._ticked_seconds - self._tick_seconds))
        self._ticked_seconds = now
        if not self._is_asking and now - self._asked_seconds >= LOOK_SECONDS:
            self._look(now)
        health = self._vitals.health()
        if health.is_open:
            checks = self._checks(health)
            # Who deletes has said so in the log, as has the audit, and no recording is lost by it.
            others = (checks.pop(AUDIT), checks.pop(RETENTION))
            told = "; ".join(words for words in others if words != OK)
            reasons = [words for words in checks.values() if words != OK]
            self._tell(now, reasons)
            if told and not reasons:
                self._hub.warn(RecordingTrouble(f"everything is recorded, but {told}"))

    def _look(self, now: float) -> None:
        """Look at the disk, in the pool; once at a time, for it may hang."""
        self._is_asking, self._asked_seconds = True, now

        def seen(space: DiskSpace | None) -> Any:
            self.space = space
            is_short = space is not None and self._is_short(space)
            self._short_looks = self._short_looks + 1 if is_short else 0
            # Those of nobody: all that is asked is whether it answers.
            return self._archive.sessions(SessionQuery(sentinel_id="", limit=1))

        def done(failure: Any) -> None:
            self._is_asking, self._is_unreadable = False, failure is not None
            if failure is not None and not failure.check(VidlinkError):
                self._log.failure("the disk could not be looked at", failure)

        asked = self._vitals.space().addErrback(lambda failure: failure.trap(VidlinkError) and None)
        asked.addCallback(seen).addCallbacks(lambda _: done(None), done)

    def _tell(self, now: float, reasons: list[str]) -> None:
        """Log when trouble begins, once a minute while it lasts, and when it is over; proctors
        are told as long as it lasts."""
        self._lost = sum(self._vitals.counts.missing[cause] for cause in _OURS)
        if reasons:
            self._bad_seconds = now
            self._hub.warn(RecordingTrouble("; ".join(reasons)))
        if self._begun_seconds is None:
            if reasons:
                self._begun_seconds = now
                self._say(now, "recording is in trouble: {reasons}; what is live goes on", reasons)
        elif reasons and now - self._told_seconds >= REPEAT_SECONDS:
            text = "recording is still in trouble: {reasons}; since this was last said "
            self._say(now, text + "{lost} segments could not be recorded", reasons)
        elif now - self._bad_seconds >= CALM_SECONDS:
            self._log.info(
                "recording is well again after {seconds:.0f} s; since this was last said "
                "{lost} segments could not be recorded",
                seconds=self._bad_seconds - self._begun_seconds,
                lost=self._lost - self._lost_told,
            )
            self._begun_seconds = None
            self._lost_told = self._lost

    def _say(self, now: float, text: str, reasons: list[str]) -> None:
        self._log.error(text, reasons="; ".join(reasons), lost=self._lost - self._lost_told)
        self._told_seconds, self._lost_told = now, self._lost
