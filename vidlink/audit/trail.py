"""The audit trail of a running server: what happens is noted at once, and written in a thread.

Nobody waits for it: a watching proctor is not held up by a slow disk. Up to :data:`MOST_WAITING`
entries wait; beyond that the newest are lost, which is an entry itself as soon as there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from vidlink.audit.files import AuditFiles
from vidlink.bucket import Allowance, Bucket
from vidlink.model import NOBODY, AuditEntry, AuditPage, AuditQuery, Deed, Principal, network_of

MOST_WAITING = 10_000
#: The digest of the last entry is said in the log so often, for whoever keeps logs elsewhere.
TOLD_SECONDS = 3600.0
#: After a failure the disk is asked again so much later.
AGAIN_SECONDS = 5.0
#: Fetching that goes on is noted again after this.
SAME_SECONDS = 600.0
#: Refused logins that are noted one by one, and as many of what was shown instead of a password, of
#: one address and of all. Anybody can be refused, as
#: often as they like, and would fill the disk, or put out what others do; the rest are counted.
REFUSED_EACH, REFUSED = Allowance(burst=100, per_second=0.1), Allowance(burst=2_000, per_second=1.0)
#: An entry says so often how many were not noted one by one.
COUNTED_SECONDS = 60.0
_MOST_ADDRESSES = 10_000
_LONGEST = 256
#: Whoever acts when the server itself does.
SERVER = Principal("server", "", frozenset())
#: Whoever has the data folder before them: 'vidlink user' and 'vidlink token'.
OPERATOR = Principal("operator", "", frozenset())


def unnoted(deed: Deed, who: Principal, address: str, **about: str | int) -> None:
    """A deed that nobody writes down."""


class _Refusals:
    """The refusals of one kind that are noted one by one."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._of_all = Bucket(REFUSED, seconds)
        self._of_each: dict[str, Bucket] = {}

    def may_note(self, address: str) -> bool:
        """True if one more from there may be noted; that is counted."""
        network = network_of(address)
        bucket = self._of_each.pop(network, None) or Bucket(REFUSED_EACH, self._seconds)
        self._of_each[network] = bucket
        if len(self._of_each) > _MOST_ADDRESSES:
            del self._of_each[next(iter(self._of_each))]
        return bucket.spend() and self._of_all.spend()


class Trail:
    """The audit trail in `files`.

    :param seconds: the monotonic clock.
    :param now_us: microseconds since the epoch.
    :param run_in_pool: runs a function in a thread, and fires with what it gives.
    """

    _log = Logger()

    def __init__(
        self,
        files: AuditFiles,
        *,
        seconds: Callable[[], float],
        now_us: Callable[[], int],
        run_in_pool: Callable[..., Deferred[Any]],
    ) -> None:
        self._files = files
        self._seconds = seconds
        self._now_us = now_us
        self._run_in_pool = run_in_pool
        self._waiting: list[AuditEntry] = []
        self._lost = 0
        #: Deeds that were noted, the newest last, and when.
        self._noted: dict[tuple[object, ...], float] = {}
        self._is_open = self._is_writing = False
        self._written: Deferred[None] = succeed(None)
        self._failed_seconds: float | None = None
        self._told_seconds = seconds()
        self._last = (0, "")
        #: The rest that each network has, the one that was refused last at the end.
        self._refusals = {has_via: _Refusals(seconds) for has_via in (False, True)}
        self._counted, self._counted_seconds = 0, seconds()
        #: The reason why entries wait; empty: they do not.
        self.trouble = ""

    def note(self, deed: Deed, who: Principal, address: str, **about: str | int) -> None:
        """Write down a deed, soon.

        Fetching the same again within :data:`SAME_SECONDS` is no deed of its own: who plays a film
        asks for it many times. Refused logins beyond :data:`REFUSED` are counted.
        """
        same = (who.name, who.credential_id, address, *about.items())
        if deed is Deed.FETCHED and self._is_repeated(same):
            return
        # Machines with an old token come again and again; they are not to hide who guesses.
        if deed is Deed.REFUSED and not self._refusals["via" in about].may_note(address):
            self._counted += 1
            return
        self._put(deed, who, address, **about)

    def page(self, query: AuditQuery) -> Deferred[AuditPage]:
        """One page of what is on the disk, newest first."""
        return self._run_in_pool(self._files.page, query)

    def tick(self) -> None:
        """To be called about once a second: try again, and tell where the trail stands."""
        now = self._seconds()
        if now - self._counted_seconds >= COUNTED_SECONDS:
            self._counted_seconds = now
            self._tell_counted()
        if self._failed_seconds is not None and now - self._failed_seconds >= AGAIN_SECONDS:
            self._write()
        if now - self._told_seconds >= TOLD_SECONDS and self._last[0]:
            self._told_seconds = now
            self._tell()

    def close(self) -> Deferred[None]:
        """Fires when everything is on the disk, or cannot be written."""
        self._tell_counted()
        self._write()
        return self._written.addCallback(lambda _: self._tell())

    def _put(self, deed: Deed, who: Principal, address: str, **about: str | int) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        short = {
            name: value if isinstance(value, int) else value[:_LONGEST]
            for name, value in about.items()
        }
        entry = AuditEntry(
            0, self._now_us(), deed, who.name[:_LONGEST], who.credential_id, address, short
        )
        self._waiting.append(entry)
        if self._failed_seconds is None:
            self._write()

    def _tell_counted(self) -> None:
        if self._counted:
            counted, self._counted = self._counted, 0
            self._put(Deed.REFUSED, NOBODY, "", count=counted)

    def _is_repeated(self, same: tuple[object, ...]) -> bool:
        now = self._seconds()
        if now - self._noted.get(same, float("-inf")) < SAME_SECONDS:
            return True
        self._noted.pop(same, None)
        self._noted[same] = now
        while len(self._noted) > MOST_WAITING:
            del self._noted[next(iter(self._noted))]
        return False

    def _tell(self) -> None:
        number, digest = self._last
        self._log.info(
            "the audit trail has {number} entries, the last one with the digest {digest}",
            number=number,
            digest=digest,
        )

    def _write(self) -> None:
        if not self._is_writing and self._waiting:
            self._is_writing = True
            self._written = Deferred.fromCoroutine(self._write_all()).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        self._is_writing = False
        self._log.failure("the audit trail is not written", failure)
        self._fail("the log says why")

    def _fail(self, why: str) -> None:
        self._failed_seconds = self._seconds()
        self.trouble = f"the audit trail cannot be written: {why}"

    async def _write_all(self) -> None:
        while self._waiting:
            batch = self._waiting[:]
            try:
                if not self._is_open:
                    wrong = await self._run_in_pool(self._files.open)
                    self._is_open = True
                    if wrong:
                        self._log.error("{wrong}; see 'vidlink audit --verify'", wrong=wrong)
                self._last = await self._run_in_pool(self._files.append, batch)
            except OSError as error:
                if self._failed_seconds is None:
                    self._log.error("the audit trail cannot be written: {error}", error=error)
                # Whoever asks how the server is need not know where its files are.
                self._fail(error.strerror or type(error).__name__)
                break
            del self._waiting[: len(batch)]
            if self._failed_seconds is not None:
                self._log.info("the audit trail is written again")
            self._failed_seconds, self.trouble = None, ""
            if self._lost:
                lost, self._lost = self._lost, 0
                self._put(Deed.LOST, SERVER, "", count=lost)
        self._is_writing = False
