"""The HTTP interface under ``/api/v1``: what there is, what was recorded, and control for scripts.

The table of its paths is one idea, and stands in one place. What is asked for is read in
:mod:`vidlink.server.api.parameters`, answered through :mod:`vidlink.server.api.answers` and
:mod:`vidlink.server.api.bodies`; who may ask at all is settled before, in
:mod:`vidlink.server.port.site`; what is asked about the server itself is in
:mod:`vidlink.server.api.probes`. Importing this brings in Klein, and with it the reactor, so taps
import it when the daemon is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from klein import Klein
from twisted.internet.defer import Deferred, DeferredSemaphore, execute
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request

from vidlink.access.register import LOGIN
from vidlink.access.shown import with_ticket
from vidlink.audit.trail import unnoted
from vidlink.errors import Forbidden, NotFound
from vidlink.httpjson import objects
from vidlink.httpjson.kinds import Json
from vidlink.httpjson.table import Table
from vidlink.interfaces import IArchive, IBody, IRetention
from vidlink.model import (
    Deed,
    Hold,
    Principal,
    RecordingState,
    Registration,
    Right,
    SegmentQuery,
    SentinelState,
    SentinelStatus,
    SessionQuery,
)
from vidlink.relay.hub import Hub
from vidlink.server.api import parameters
from vidlink.server.api.answers import (
    CHECK_FIRST,
    JSON,
    answer_bytes,
    answer_elsewhere,
    answer_failure,
    answer_now,
    asker,
    body_of,
    conditions,
    json_of,
    to_its_end,
    to_json,
    to_long_json,
)
from vidlink.server.api.bodies import FilmSource, SmallBody, send_body
from vidlink.server.api.media import PLAYLIST, VIDEO, film_headers, pinned, ticketed
from vidlink.server.api.parameters import Query, film_query
from vidlink.server.api.ranges import goes_on
from vidlink.server.api.refusals import BadParameter, PreconditionFailed

T = TypeVar("T")
_SENTINEL = "/api/v1/sentinels/<sentinel>"
_SESSION = _SENTINEL + "/sessions/<session>"


class Api:
    """The HTTP interface.

    :param archive: the recording.
    :param hub: the live state.
    :param retention: what is kept of it.
    :param document: this interface, described for programs.
    :param wall_clock_us: microseconds since the epoch.
    :param principal_of: whoever sends a request.
    :param did: called with every deed that is to be written down: by whom, from where, and what it
        is about.
    :param ticket_of: the ticket by which they ask, if it is one.
    :param run_in_pool: runs a function in a thread, and fires with what it gives.
    """

    app = Klein()
    # `//api/v1/me` is no other spelling of `/api/v1/me`.
    app.url_map.merge_slashes = False

    def __init__(
        self,
        archive: IArchive,
        hub: Hub,
        retention: IRetention,
        *,
        document: Json,
        wall_clock_us: Callable[[], int],
        principal_of: Callable[[Any], Principal],
        did: Callable[..., None] = unnoted,
        ticket_of: Callable[[Any], str | None] = lambda request: None,
        run_in_pool: Callable[..., Deferred[Any]] = execute,
    ) -> None:
        self._archive = archive
        self._retention = retention
        self._principal_of, self._ticket_of = principal_of, ticket_of
        self._did = did
        self._hub = hub
        self._wall_clock_us = wall_clock_us
        self._document = to_json(document)
        self._run_in_pool = run_in_pool
        # One at a time, for a session with many holes is much to put together, and each thread that
        # works keeps what is live from the processor.
        self._details, self._texts = DeferredSemaphore(1), DeferredSemaphore(1)

    def resource(self) -> IResource:
        """The resource that answers every path of this interface; it is a leaf."""
        return self.app.resource()

    @app.route("/api/v1/openapi.json", methods=["GET"])
    def document(self, request: Request) -> bytes:
        """This interface, described for programs."""
        Query(request.uri)
        return answer_bytes(request, self._document, JSON, CHECK_FIRST)

    @app.route("/api/v1/me", methods=["GET"])
    def me(self, request: Request) -> bytes:
        """The rights of the one who asks."""
        Query(request.uri)
        principal = self._principal_of(request)
        may = tuple(right for right in Right if right in principal.rights)
        groups = None if principal.groups is None else tuple(sorted(principal.groups))
        access = objects.CLOSED if principal.credential_id else objects.OPEN
        me = objects.Me(may, access, principal.name, groups, self._wall_clock_us())
        return answer_now(request, objects.ME.dump(me))

    @app.route("/api/v1/sentinels", methods=["GET"])
    async def sentinels(self, request: Request) -> bytes:
        """Every Sentinel that is connected or was ever recorded, paged."""
        query = Query(request.uri, ("after", "limit"))
        principal = self._allowed(request, Right.WATCH)
        after = query.sentinel_id("after")
        limit = query.limit(parameters.USUAL_SENTINELS, parameters.MAX_SENTINELS)
        recorded = await self._archive.sentinels()
        live = self._hub.statuses()

        def page() -> objects.SentinelPage:
            return _sentinel_page(live, recorded, principal, after or "", limit)

        return await self._answer(request, objects.SENTINELS, page)

    @app.route("/api/v1/sessions", methods=["GET"])
    async def sessions(self, request: Request) -> bytes:
        """Sessions, newest first, paged."""
        query = Query(request.uri, ("sentinel", "group", "from", "to", "after", "limit"))
        principal = self._allowed(request, Right.WATCH)
        from_time_us, to_time_us = query.time_range_us()
        page = await self._archive.sessions(
            SessionQuery(
                sentinel_id=query.sentinel_id("sentinel"),
                group=query.text("group"),
                from_time_us=from_time_us,
                to_time_us=to_time_us,
                after=query.text("after"),
                limit=query.limit(parameters.USUAL_SESSIONS, parameters.MAX_SESSIONS),
                within=principal.groups,
            )
        )
        return await self._answer(request, objects.SESSIONS, lambda: page)

    @app.route(_SESSION, methods=["GET"])
    async def session(self, request: Request, sentinel: str, session: str) -> bytes:
        """One session."""
        Query(request.uri)
        ids = await self._ids(request, Right.WATCH, sentinel, session)
        record = await self._details.run(self._archive.session, *ids)
        return await self._answer(request, objects.SESSION, lambda: record)

    @app.route(_SESSION + "/segments", methods=["GET"])
    async def segments(self, request: Request, sentinel: str, session: str) -> bytes:
        """The segments of a session, in order, paged."""
        query = Query(request.uri, ("from", "to", "after", "limit"))
        from_time_us, to_time_us = query.time_range_us()
        wanted = SegmentQuery(
            from_time_us=from_time_us,
            to_time_us=to_time_us,
            after=query.sequence("after"),
            limit=query.limit(parameters.USUAL_SEGMENTS, parameters.MAX_SEGMENTS),
        )
        ids = await self._ids(request, Right.WATCH, sentinel, session)
        page = await self._archive.segments(*ids, wanted)
        found = objects.SegmentsOf(sentinel, session, page)
        return await self._answer(request, objects.SEGMENTS, lambda: found)

    @app.route(_SESSION + "/init.mp4", methods=["GET"])
    async def init(self, request: Request, sentinel: str, session: str) -> bytes:
        """The initialization segment."""
        Query(request.uri)
        ids = await self._ids(request, Right.WATCH, sentinel, session)
        found = await self._archive.init(*ids)
        return await self._send(request, SmallBody(*found), {"Content-Type": VIDEO})

    @app.route(_SESSION + "/segments/<numbers>", methods=["GET"])
    async def media(self, request: Request, sentinel: str, session: str, numbers: str) -> bytes:
        """One segment, or several in one body, as they were received."""
        Query(request.uri)
        first, last = _range(numbers)
        ids = await self._ids(request, Right.WATCH, sentinel, session)
        body, missing = await self._archive.media(*ids, first, last)
        self._fetched(request, ids, "segments")
        headers = {"Content-Type": VIDEO}
        if missing:
            headers["VidLink-Missing"] = ", ".join(f"{one}-{other}" for one, other in missing)
        return await self._send(request, body, headers)

    @app.route(_SESSION + "/recording.mp4", methods=["GET"])
    async def recording(self, request: Request, sentinel: str, session: str) -> bytes:
        """The whole session as one file that any player plays, or a time range of it."""
        wanted, version = film_query(request.uri)
        ids = await self._ids(request, Right.WATCH, sentinel, session)
        body, clip = await self._archive.film(*ids, wanted, version)
        if version is not None and body.etag != version:
            raise PreconditionFailed(
                "version: what is recorded has changed since; ask for recording.mp4 without it"
            )
        if not body.is_final and version is None:
            asked = conditions(request)
            if request.method == b"GET" and goes_on(asked):
                raise PreconditionFailed(
                    "Range: this recording may change; its rest is at the address with version "
                    "that recording.mp4 leads to, or say If-Range"
                )
            # Who says of which version it is to be, and up to where, need not be sent anywhere.
            if wanted.last is None or asked.if_range is None:
                where = pinned(wanted, clip, body.etag)
                ticket = self._ticket_of(request)
                return answer_elsewhere(
                    request, where if ticket is None else with_ticket(where, ticket)
                )
        bounds = {"start": wanted.start_time_us, "end": wanted.end_time_us}
        note = self._noting(request, ids, "recording.mp4", **bounds)
        note()
        offer = getattr(request, "offer_again", None)
        if offer is not None and body.is_final:
            offer(FilmSource(body.again, note))
        return await self._send(request, body, film_headers(sentinel, clip, wanted))

    @app.route(_SESSION + "/index.m3u8", methods=["GET"])
    async def playlist(self, request: Request, sentinel: str, session: str) -> bytes:
        """The session as a list of its segments for players (HLS)."""
        Query(request.uri)
        ids = await self._ids(request, Right.WATCH, sentinel, session)
        body = await self._archive.playlist(*ids)
        self._fetched(request, ids, "index.m3u8")
        ticket = self._ticket_of(request)
        if ticket is not None:
            body = await ticketed(body, ticket)
        return await self._send(request, body, {"Content-Type": PLAYLIST})

    @app.route("/api/v1/retention", methods=["GET"])
    async def retention(self, request: Request) -> bytes:
        """The policy, what there is, and what would go now."""
        query = Query(request.uri, ("limit",))
        self._allowed(request, Right.AUDIT)
        found = await self._retention.retention(
            query.limit(parameters.USUAL_DUE, parameters.MAX_DUE)
        )
        return answer_now(request, objects.RETENTION.dump(found))

    @app.route("/api/v1/receipts", methods=["GET"])
    async def receipts(self, request: Request) -> bytes:
        """Receipts of what was deleted, newest first, paged."""
        query = Query(request.uri, ("after", "limit"))
        self._allowed(request, Right.AUDIT)
        limit = query.limit(parameters.USUAL_RECEIPTS, parameters.MAX_RECEIPTS)
        page = await self._retention.receipts(query.number("after"), limit)
        return await self._answer(request, objects.RECEIPTS, lambda: page)

    @app.route(_SESSION, methods=["DELETE"])
    @to_its_end
    async def delete(self, request: Request, sentinel: str, session: str) -> bytes:
        """Delete a session, for good."""
        rehearse = Query(request.uri, ("dry-run",)).flag("dry-run")
        ids = await self._ids(request, Right.DELETE, sentinel, session)
        receipt = await self._retention.delete(*ids, self._asker(request), rehearse=rehearse)
        if not rehearse:
            self._note(request, Deed.DELETED, sentinel=sentinel, session=session)
        return answer_now(request, objects.RECEIPT.dump(receipt))

    @app.route(_SESSION + "/hold", methods=["PUT"])
    @to_its_end
    async def hold(self, request: Request, sentinel: str, session: str) -> bytes:
        """Have a session not deleted by anybody."""
        Query(request.uri)
        ids = await self._ids(request, Right.DELETE, sentinel, session)
        reason = parameters.hold_reason(json_of(request))
        hold = await self._retention.hold(*ids, reason)
        self._note(request, Deed.HELD, sentinel=sentinel, session=session, reason=reason)
        return _held(request, ids, hold)

    @app.route(_SESSION + "/hold", methods=["DELETE"])
    @to_its_end
    async def release(self, request: Request, sentinel: str, session: str) -> bytes:
        """Hold a session no more."""
        Query(request.uri)
        ids = await self._ids(request, Right.DELETE, sentinel, session)
        hold = await self._retention.hold(*ids, None)
        self._note(request, Deed.RELEASED, sentinel=sentinel, session=session)
        return _held(request, ids, hold)

    @app.route(_SENTINEL + "/keyframe", methods=["POST"])
    def request_keyframe(self, request: Request, sentinel: str) -> bytes:
        """Ask a Sentinel for a keyframe."""
        Query(request.uri)
        if body_of(request) and json_of(request):
            raise BadParameter("body", "must be empty or {}")
        self._controlled(request, sentinel).request_keyframe()
        request.setResponseCode(202)
        return answer_now(request, {"sentinelId": sentinel})

    @app.route(_SENTINEL + "/framerate", methods=["PUT"])
    def change_framerate(self, request: Request, sentinel: str) -> bytes:
        """Ask a Sentinel for another frame rate."""
        Query(request.uri)
        wanted_mhz = parameters.framerate_mhz(json_of(request))
        taken_mhz = self._controlled(request, sentinel).change_framerate(wanted_mhz)
        self._note(request, Deed.CONTROLLED, sentinel=sentinel, framerate_mhz=taken_mhz)
        asked = objects.FramerateAsked(sentinel, taken_mhz)
        return answer_now(request, objects.FRAMERATE_ASKED.dump(asked))

    async def _answer(self, request: Request, table: Table[T], value: Callable[[], T]) -> bytes:
        """The JSON that `value` gives, to be asked for again each time; 304 if the client has it.

        A list may be long, so it is put together, made text of and hashed in the pool.
        """

        def make() -> tuple[bytes, str]:
            return to_long_json(table.dump(value()))

        data, etag = await self._texts.run(self._run_in_pool, make)
        return answer_bytes(request, data, JSON, CHECK_FIRST, etag)

    @app.handle_errors(Exception)
    def refuse(self, request: Any, failure: Failure) -> bytes:
        """Every error of the above, and of the table itself."""
        return answer_failure(request, failure)

    def _allowed(self, request: Request, right: Right, group: str | None = None) -> Principal:
        """Whoever asks, if they may; `group` is whose it is, where it is one's.

        :raises Forbidden: if they may not.
        """
        principal = self._principal_of(request)
        if not principal.may(right, group):
            raise Forbidden(f"the credential does not give the right to {right.value} this")
        return principal

    async def _ids(
        self, request: Request, right: Right, sentinel: str, session: str
    ) -> tuple[str, str]:
        """The ids in a path, if they are some, and whoever asks has that right over the session.

        :raises Forbidden: if they do not.
        """
        ids = parameters.sentinel_id(sentinel), parameters.session_id(session)
        if self._allowed(request, right).groups is not None:
            self._allowed(request, right, await self._archive.group(*ids))
        return ids

    def _controlled(self, request: Request, sentinel: str) -> Any:
        stream = self._hub.stream(parameters.sentinel_id(sentinel))
        self._allowed(request, Right.CONTROL, None if stream is None else stream.group)
        if stream is None:
            raise NotFound(f"no sentinel {sentinel} has ever been here")
        return stream

    def _fetched(
        self, request: Request, ids: tuple[str, str], what: str, **about: int | None
    ) -> None:
        self._noting(request, ids, what, **about)()

    def _noting(
        self, request: Request, ids: tuple[str, str], what: str, **about: int | None
    ) -> Callable[[], None]:
        """Notes that whoever asks is given something, each time that it is called."""
        bounds = {name: value for name, value in about.items() if value is not None}
        who, where = self._principal_of(request), asker(request)
        return partial(
            self._did, Deed.FETCHED, who, where,
            sentinel=ids[0], session=ids[1], what=what, **bounds,
        )  # fmt: skip

    def _note(self, request: Request, deed: Deed, **about: str | int) -> None:
        self._did(deed, self._principal_of(request), asker(request), **about)

    async def _send(self, request: Request, body: IBody, headers: Mapping[str, str]) -> bytes:
        # A browser asks nobody about what it has for good, and so shows it after a logout too.
        is_login = self._principal_of(request).credential_id.startswith(f"{LOGIN}:")
        return await send_body(request, body, headers, may_keep=not is_login)

    def _asker(self, request: Request) -> str:
        """Who asks, for whoever reads it later: name and address."""
        return f"{self._principal_of(request).name} at {asker(request)}"


def _sentinel_page(
    statuses: Iterable[SentinelStatus],
    recorded: Iterable[tuple[Registration, int | None]],
    principal: Principal,
    after: str,
    limit: int,
) -> objects.SentinelPage:
    """Every Sentinel once that `principal` sees, by id: as the hub has it, or else offline as
    history knows it."""
    groups = {who.sentinel_id: who.group for who, _ in recorded}
    seen = {status.sentinel_id: status for status in statuses}
    known = {who.sentinel_id: (who, last_us) for who, last_us in recorded}
    groups.update((name, status.group) for name, status in seen.items())
    names = sorted(name for name, group in groups.items() if name > after and principal.sees(group))
    more = len(names) > limit
    del names[limit:]
    page = tuple(seen.get(name) or _offline(*known[name]) for name in names)
    return objects.SentinelPage(page, names[-1] if more else None)


def _offline(who: Registration, last_time_us: int | None) -> SentinelStatus:
    return SentinelStatus(
        sentinel_id=who.sentinel_id,
        name=who.name,
        group=who.group,
        state=SentinelState.OFFLINE,
        session_id=None,
        framerate_mhz=None,
        last_segment_time_us=last_time_us,
        recording=RecordingState.NONE,
    )


def _held(request: Request, ids: tuple[str, str], hold: Hold | None) -> bytes:
    return answer_now(request, objects.SESSION_HOLD.dump(objects.SessionHold(*ids, hold)))


def _range(numbers: str) -> tuple[int, int]:
    # Stock players of HLS refuse media whose names do not end in an extension.
    start, dash, end = numbers.removesuffix(".mp4").partition("-")
    first = parameters.sequence(start, "first" if dash else "sequence")
    last = parameters.sequence(end, "last") if dash else first
    if last < first:
        raise BadParameter("last", "must not be below first")
    if last - first >= parameters.MAX_RANGE:
        raise BadParameter(
            "last", f"must be below first + {parameters.MAX_RANGE}; recording.mp4 has it all"
        )
    return first, last
