"""Looking back: what is on disk and what still waits for it, put together.

What waits is taken from the ledger in the reactor's thread, together with how much of each
part is durable; everything else happens in the pool after that. So nothing is missed between
the two, and nothing is shown as durable that is not. It is one idea: a method for each question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from weakref import ref

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from vidlink.errors import NotFound, StoreError
from vidlink.interfaces import IArchive, IBody
from vidlink.model import (
    ALL,
    Clip,
    ClipQuery,
    Gap,
    Registration,
    SegmentPage,
    SegmentQuery,
    SessionPage,
    SessionQuery,
    SessionRecord,
    SessionState,
)
from vidlink.store.files.sections import MemorySection, Section
from vidlink.store.files.stored import LookUpStored, StoredSession
from vidlink.store.film.body import Body
from vidlink.store.film.reel import FilmContent, Reels
from vidlink.store.handover.inbox import RunInPool
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import Report
from vidlink.store.handover.suspects import Suspects
from vidlink.store.index.catalog import Catalog, clamp_limit
from vidlink.store.queue.ledger import Ledger
from vidlink.store.reading.known import MOST_INIT_BYTES, Known, LookedUp
from vidlink.store.reading.media import media_of, read_media, rows_from
from vidlink.store.reading.segment_page import read_page
from vidlink.store.reading.session_page import matches, page_key, read_token, write_token
from vidlink.store.reading.view import View, newest_of, view_account
from vidlink.store.sequences.times import Life, age_from_us, start_us, state_at
from vidlink.store.sequences.trusted import TrustedTime
from vidlink.store.sequences.window import MOST_SPANS, SequenceWindow, named

T = TypeVar("T")


@implementer(IArchive)
class Archive:
    """The reading side of the recording."""

    def __init__(
        self,
        *,
        stored: LookUpStored,
        ledger: Ledger,
        catalog: Catalog,
        reels: Reels,
        locks: SessionLocks,
        run_in_pool: RunInPool,
        trusted: TrustedTime,
        suspects: Suspects,
    ) -> None:
        self._stored = stored
        self._ledger = ledger
        self._catalog = catalog
        self._reels = reels
        self._locks = locks
        self._run_in_pool = run_in_pool
        self._trusted = trusted
        self._suspects = suspects
        self._looked_up = LookedUp()
        #: Of the round before: it was of sessions that nobody writes to, or not all went well.
        self._was_of_others = False

    def apply(self, report: Report) -> None:
        """Apply the report of a round: what was looked at again may be read as something else, and
        what was looked up may be so no more."""
        # What could not be told to the database is told later, of whomever it was.
        was_of_others, self._was_of_others = self._was_of_others, report.is_of_others
        if was_of_others or self._was_of_others:
            self._looked_up.clear()
        for order in report.looked:
            self._suspects.looked(order)
            self._reels.looked(self._stored(order.sentinel_id, order.session_id), order.ranges)

    def sentinels(self) -> Deferred[tuple[Any, ...]]:
        """Every Sentinel ever recorded."""
        live = [account.record() for account in self._ledger]
        return self._run_in_pool(_blocking, self._sentinels, live)

    def sessions(self, query: SessionQuery) -> Deferred[SessionPage]:
        """One page of sessions."""
        live = [
            account.record()
            for account in self._ledger
            if query.sentinel_id in (None, account.session.sentinel_id)
        ]
        now_us = self._trusted.now_us()
        return self._run_in_pool(_blocking, self._sessions, query, live, now_us)

    def group(self, sentinel_id: str, session_id: str) -> Deferred[str]:
        """The group that its Sentinel was in."""
        account = self._ledger.account(session_id)
        if account is not None:
            if account.session.sentinel_id != sentinel_id:
                return fail(_unknown(sentinel_id, session_id))
            return succeed(account.session.group)
        known = self._known(sentinel_id, session_id)
        if known is not None:
            return succeed(known.filed.record.session.group)
        found = self._looked_up.remember(
            self._run_in_pool(_blocking, self._find, sentinel_id, session_id)
        )
        return found.addCallback(lambda known: known.filed.record.session.group)

    def session(self, sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session with its spans and gaps."""
        account = self._ledger.account(session_id)
        if account is not None:
            if account.session.sentinel_id != sentinel_id:
                return fail(_unknown(sentinel_id, session_id))
            # A record of as many spans as there are segments takes its time.
            return self._run_in_pool(_blocking, account.snapshot())
        now_us = self._trusted.now_us()
        return self._run_in_pool(_blocking, self._session, sentinel_id, session_id, now_us)

    def init(self, sentinel_id: str, session_id: str) -> Deferred[tuple[bytes, int]]:
        """The initialization segment, and when the session began."""
        at_hand = self._known(sentinel_id, session_id)
        if at_hand is not None and at_hand.init:
            return succeed((at_hand.init, at_hand.filed.record.session.started_time_us))

        def read(view: View) -> tuple[bytes, int]:
            init = view.init()
            if not init:
                raise _nothing_there()
            return init, view.session.started_time_us

        return self._with_view(sentinel_id, session_id, read)

    def segments(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> Deferred[SegmentPage]:
        """One page of segments."""
        return self._with_view(sentinel_id, session_id, lambda view: read_page(view, query))

    def media(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[IBody, tuple[tuple[int, int], ...]]]:
        """The bytes of a range of segments."""
        at_hand = self._media_at_hand(sentinel_id, session_id, first, last)
        if at_hand is not None:
            return succeed((at_hand, ()))

        def read(view: View) -> tuple[IBody, tuple[tuple[int, int], ...]]:
            media = read_media(view, first, last, self._suspects)
            is_final = media.is_durable and not media.missing
            is_final = is_final or view.state is SessionState.SEALED
            modified_us = None
            if is_final and not (media.missing and view.has_damage()):
                modified_us = media.received_us
            body = self._body(media.sections, media.etag, is_final, modified_us)
            return body, media.missing

        def list_rows(view: View, known: Known) -> None:
            known.rows = rows_from(view, first, last)

        if self._ledger.account(session_id) is None:
            return self._with_known(sentinel_id, session_id, read, list_rows)
        return self._with_view(sentinel_id, session_id, read)

    def _media_at_hand(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> IBody | None:
        """Segments of a session that nobody writes to, if their records are at hand."""
        known = self._known(sentinel_id, session_id)
        if known is None:
            return None
        stored = self._stored(sentinel_id, session_id)
        media = media_of(stored, known.rows, first, last, self._suspects)
        if media is None:
            return None
        return self._body(media.sections, media.etag, True, media.received_us)

    def film(
        self,
        sentinel_id: str,
        session_id: str,
        query: ClipQuery = ALL,
        version: str | None = None,
    ) -> Deferred[tuple[IBody, Clip]]:
        """``recording.mp4``, or a time range of it."""
        at_hand = self._film_at_hand(sentinel_id, session_id, query, version)
        if at_hand is not None:
            return succeed(at_hand)

        def read(view: View) -> tuple[IBody, Clip]:
            reel, is_sealed = self._reels.reel(view.stored), view.state is SessionState.SEALED
            film = None if version is None else reel.kept(version)
            if film is None:
                session = replace(view.session, init=view.init())
                if not session.init:
                    raise _nothing_there()
                film = reel.film(
                    session,
                    view.counts,
                    view.waiting,
                    query,
                    view.gaps,
                    is_final=is_sealed,
                )
            is_sealed = is_sealed and not reel.has_damage
            modified_us = view.newest_us() if is_sealed else None
            return self._film(film, version, modified_us, is_sealed=is_sealed)

        return self._with_view(sentinel_id, session_id, read)

    def _film_at_hand(
        self, sentinel_id: str, session_id: str, query: ClipQuery, version: str | None
    ) -> tuple[IBody, Clip] | None:
        """The film of a version, or one that cannot change, if nothing has to be read for it."""
        account = self._ledger.account(session_id)
        modified_us: int | None = None
        if account is not None:
            is_sealed = False
            if account.session.sentinel_id != sentinel_id or account.state is SessionState.SEALED:
                return None
            mine = ref(account)

            def is_same() -> bool:
                now = self._ledger.account(session_id)
                if now is None or now is not mine():
                    return False
                return now.state is not SessionState.SEALED

        else:
            known = self._known(sentinel_id, session_id)
            if known is None:
                return None
            is_sealed = known.state(self._trusted.now_us()) is SessionState.SEALED
            if is_sealed:
                if not known.has_newest:
                    return None
                modified_us = known.newest_us

            known_then = ref(known)

            def is_same() -> bool:
                now = self._known(sentinel_id, session_id)
                if now is None or now is not known_then():
                    return False
                # What is sealed stays so.
                return is_sealed or now.state(self._trusted.now_us()) is not SessionState.SEALED

        if version is None and not is_sealed:
            return None
        film = self._reels.at_hand(self._stored(sentinel_id, session_id), query, version)
        if film is None:
            return None
        return self._film(film, version, modified_us, is_same, is_sealed=is_sealed)

    def _film(
        self,
        film: FilmContent,
        version: str | None,
        modified_us: int | None,
        is_same: Callable[[], bool] = lambda: False,
        *,
        is_sealed: bool,
    ) -> tuple[IBody, Clip]:
        """The body of `film`, which is that of its session for as long as `is_same` says so."""
        # Under the name of a version there is nothing else, ever.
        is_final = is_sealed or version == film.etag
        again = partial(self._again, film.again, is_same, is_final, modified_us)
        return self._body(film.sections, film.etag, is_final, modified_us, again), film.clip

    def _again(
        self,
        again: Callable[[], FilmContent | None],
        is_same: Callable[[], bool],
        is_final: bool,
        modified_us: int | None,
    ) -> IBody | None:
        film = again() if is_same() else None
        if film is None:
            return None
        once_more = partial(self._again, again, is_same, is_final, modified_us)
        return self._body(film.sections, film.etag, is_final, modified_us, once_more)

    def playlist(self, sentinel_id: str, session_id: str) -> Deferred[IBody]:
        """``index.m3u8``."""

        def read(view: View) -> IBody:
            is_sealed = view.state is SessionState.SEALED
            # Only what is durable is listed, so that nothing has to be taken back.
            is_over = view.state is not SessionState.LIVE and all(
                arrival.segment.is_late for arrival in view.arrivals
            )
            reel = self._reels.reel(view.stored)
            text, etag = reel.playlist(
                view.session, view.counts, is_over=is_over, is_sealed=is_sealed
            )
            is_final = is_sealed and not reel.has_damage
            modified_us = view.newest_us() if is_final else None
            return self._body((MemorySection([text]),), etag, is_final, modified_us)

        return self._with_view(sentinel_id, session_id, read)

    def _body(
        self,
        sections: tuple[Section, ...],
        etag: str,
        is_final: bool,
        modified_us: int | None,
        again: Callable[[], IBody | None] = lambda: None,
    ) -> IBody:
        return Body(
            sections,
            etag=etag,
            is_final=is_final,
            modified_us=modified_us,
            run_in_pool=self._run_in_pool,
            again=again,
        )

    def _with_view(
        self, sentinel_id: str, session_id: str, read: Callable[[View], T]
    ) -> Deferred[T]:
        """Look at a session as it is now, and read of it in the pool."""
        account = self._ledger.account(session_id)
        if account is None:
            return self._with_known(sentinel_id, session_id, read)
        if account.session.sentinel_id != sentinel_id:
            return fail(_unknown(sentinel_id, session_id))
        return self._run_in_pool(
            _blocking, read, view_account(account, self._stored(sentinel_id, session_id))
        )

    def _with_known(
        self,
        sentinel_id: str,
        session_id: str,
        read: Callable[[View], T],
        also: Callable[[View, Known], None] = lambda view, known: None,
    ) -> Deferred[T]:
        """The same for a session that nobody writes to; `also` puts by what may be wanted next."""
        known, now_us = self._known(sentinel_id, session_id), self._trusted.now_us()
        found: list[T] = []

        def read_known() -> Known:
            one = known or self._find(sentinel_id, session_id)
            try:
                view = self._view(one, now_us)
                found.append(read(view))
                also(view, one)
            except FileNotFoundError:
                # It may have been deleted just now.
                self._find(sentinel_id, session_id)
                raise
            return one

        done = self._looked_up.remember(self._run_in_pool(_blocking, read_known))
        return done.addCallback(lambda _: found[0])

    def _known(self, sentinel_id: str, session_id: str) -> Known | None:
        """A session without an account as it was looked up, if it is so still; else None."""
        known = self._looked_up.get(sentinel_id, session_id)
        return None if known is None or self._locks.is_hidden(session_id) else known

    # In the pool

    def _sentinels(self, live: list[SessionRecord]) -> tuple[tuple[Registration, int | None], ...]:
        known = {
            registration.sentinel_id: (registration, started_us, end_us)
            for registration, started_us, end_us in self._catalog.sentinels()
        }
        for record in live:
            one, end_us = record.session, record.end_time_us
            registration = Registration(one.sentinel_id, "", one.name, one.group, one.software)
            before = known.get(one.sentinel_id, (registration, one.started_time_us, end_us))
            newest = registration if one.started_time_us >= before[1] else before[0]
            ends = [time for time in (end_us, before[2]) if time is not None]
            started_us = max(one.started_time_us, before[1])
            known[one.sentinel_id] = newest, started_us, max(ends, default=None)
        return tuple((known[name][0], known[name][2]) for name in sorted(known))

    def _sessions(self, query: SessionQuery, live: list[SessionRecord], now_us: int) -> SessionPage:
        limit = clamp_limit(query.limit)
        place = None if query.after is None else read_token(query.after)
        found = [
            record
            for record in live
            if matches(query, record) and (place is None or page_key(record) < place)
        ]
        besides = {record.session.session_id for record in live}
        found += self._catalog.sessions(query, place, besides | self._locks.hidden, limit + 1)
        found.sort(key=lambda record: page_key(record), reverse=True)
        more = write_token(found[limit - 1]) if len(found) > limit else None
        shown = tuple(
            record
            if record.session.session_id in besides
            else replace(record, state=state_at(record.state, age_from_us(record), now_us))
            for record in found[:limit]
        )
        return SessionPage(shown, more)

    def _session(self, sentinel_id: str, session_id: str, now_us: int) -> SessionRecord:
        known = self._find(sentinel_id, session_id)
        view, filed = self._view(known, now_us), known.filed
        spans, listed_to = self._catalog.first_spans(filed.row, MOST_SPANS)
        return replace(
            filed.record,
            session=replace(view.session, init=view.init()),
            state=view.state,
            spans=spans,
            gaps=named(view.gaps(SequenceWindow(high=listed_to)), listed_to),
            listed_to=listed_to,
        )

    def _find(self, sentinel_id: str, session_id: str) -> Known:
        filed = self._catalog.session(sentinel_id, session_id)
        if filed is None or self._locks.is_hidden(session_id):
            raise _unknown(sentinel_id, session_id)
        return Known(filed)

    def _view(self, known: Known, now_us: int) -> View:
        record, row = known.filed.record, known.filed.row
        stored = self._stored(record.session.sentinel_id, record.session.session_id)
        state = known.state(now_us)
        life = Life.of(replace(record, state=state))

        def has_damage() -> bool:
            return self._catalog.has_damage(row)

        def newest_us() -> int | None:
            if not known.has_newest:
                known.newest_us = None if has_damage() else newest_of(stored, None)
                known.has_newest = True
            return known.newest_us

        return View(
            session=record.session,
            start_time_us=start_us(record),
            stored=stored,
            state=state,
            counts=None,
            arrivals=(),
            init=lambda: _init(stored, known),
            gaps=lambda window: self._gaps(row, window, life),
            has_damage=has_damage,
            newest_us=newest_us,
        )

    def _gaps(self, row: int, window: SequenceWindow, life: Life) -> tuple[Gap, ...]:
        spans = self._catalog.spans_near(row, window)
        return window.explain(spans, self._catalog.gaps(row, *window.reach(spans)), life)


def _init(stored: StoredSession, known: Known) -> bytes:
    """The initialization segment; empty if the server stopped before anything of the session had
    reached the disk."""
    filed = known.filed
    if not filed.record.segment_count and not stored.count_records():
        return b""
    init = stored.read_init(filed.init_size_bytes, filed.init_check)
    if len(init) <= MOST_INIT_BYTES:
        known.init = init
    return init


def _blocking(read: Callable[..., T], *arguments: Any) -> T:
    """Call `read`.

    :raises StoreError: if a file cannot be read.
    """
    try:
        return read(*arguments)
    except OSError as error:
        raise StoreError(f"the recording cannot be read: {error.strerror}") from error


def _unknown(sentinel_id: str, session_id: str) -> NotFound:
    return NotFound(f"there is no session {session_id} of {sentinel_id}")


def _nothing_there() -> NotFound:
    return NotFound("nothing of this session has reached the disk")
