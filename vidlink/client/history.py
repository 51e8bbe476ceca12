"""History and live state, asked over HTTP as ``docs/reference/http.md`` has it.

One method for each path of the interface is one idea; how a request is sent is in
:mod:`vidlink.client.requests`.

Every call raises, besides what it names itself: :exc:`~vidlink.errors.Unreachable` (try again
later), :exc:`~vidlink.errors.BadAnswer` (no VidLink server), and the error that the server
answered with: :exc:`~vidlink.errors.NotFound`, :exc:`~vidlink.errors.SentinelOffline`,
:exc:`~vidlink.errors.StoreError`, :exc:`~vidlink.errors.Damaged` or, for any other, one
:exc:`~vidlink.errors.Answered`. Cancelling a call ends its request.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from vidlink.client.requests import MAX_JSON_BYTES, AnyHost, Requests
from vidlink.dialling.address import PROCTOR_PATH, Address, read_address
from vidlink.dialling.trust import TRUST_OF_SYSTEM, Trust
from vidlink.errors import BadAnswer
from vidlink.httpjson import objects
from vidlink.model import (
    AuditEntry,
    AuditPage,
    AuditQuery,
    ClipQuery,
    Enrolment,
    Hold,
    Receipt,
    ReceiptPage,
    Retention,
    SegmentPage,
    SegmentQuery,
    SegmentRecord,
    SentinelStatus,
    SessionPage,
    SessionQuery,
    SessionRecord,
)

MAX_INIT_BYTES = 1024 * 1024
#: All of a session.
WHOLE = ClipQuery()
#: The longest answer of :meth:`History.media`, unless told otherwise.
MAX_MEDIA_BYTES = 64 * 1024 * 1024
#: So many segments are asked for at once where all of them are wanted.
_MOST_SEGMENTS = 5_000
#: So many machines, likewise.
_MOST_ENROLMENTS = 1_000
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", re.ASCII)
#: That of a login, over TLS and without.
_COOKIE = re.compile(r"(?:__Host-)?vidlink=([A-Za-z0-9._~+/-]{1,512}=*)(?:;|$)", re.ASCII)
_SIZE = re.compile(r"[0-9]{1,19}", re.ASCII)
_MISSING = re.compile(r"([0-9]{1,10})-([0-9]{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Film:
    """The answer to a request for ``recording.mp4``, before its first byte.

    `size_bytes` is that of the whole; what comes begins at `offset`, which is 0 whenever the
    server has another version than the one that was to be resumed. `etag` is its strong
    validator, with quotes.
    """

    size_bytes: int
    offset: int
    etag: str


class FilmSink(Protocol):
    """Where a recording goes; any exception of it ends the request, and comes out of the call."""

    def begin(self, film: Film) -> None:
        """Bytes will come, from `film.offset` on. Called once."""

    def write(self, data: bytes) -> Any:
        """The next bytes. If it returns a Deferred, nothing more is read until that fires."""


class History:
    """The HTTP interface of one server.

    :param base_url: such as ``http://127.0.0.1:8080``, without a slash at its end.
    :param treq: a :class:`treq.client.HTTPClient`.
    :param clock: `IReactorTime`, for time-outs.
    :param pool: the connections that :meth:`close` closes; None: they are somebody else's.
    :param headers: go with every request.
    """

    def __init__(
        self,
        base_url: str,
        *,
        treq: Any,
        clock: Any,
        pool: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._requests = Requests(base_url, treq, clock, headers)
        self._pool = pool

    async def close(self) -> None:
        """Close the connections that are idle."""
        if self._pool is not None:
            await self._pool.closeCachedConnections()

    async def metrics(self) -> str:
        """Every figure of the server, in the text format of Prometheus; anybody may ask."""
        response = await self._requests.ask("/metrics")
        return (await self._requests.collect(response, MAX_JSON_BYTES)).decode("utf-8", "replace")

    async def me(self) -> objects.Me:
        """Who the server takes us for, and what time it is there."""
        return await self._requests.read(objects.ME, "/api/v1/me")

    async def log_in(self, user: str, password: str) -> str:
        """Log a user in; the token by which that is shown from now on.

        :raises ~vidlink.errors.WrongPassword: if name or password is wrong.
        :raises ~vidlink.errors.TooManyTries: if they were too often.
        """
        headers = {"Content-Type": "application/json"}
        parts = urlsplit(self._requests.base_url)
        if parts.scheme == "https":
            # As a page does: a proxy before the server may not tell it that this came over TLS.
            headers["Origin"] = f"https://{parts.netloc}"
        response = await self._requests.ask(
            "/api/v1/login",
            method="POST",
            headers=headers,
            data=json.dumps({"user": user, "password": password}).encode("ascii"),
        )
        await self._requests.collect(response, MAX_INIT_BYTES)
        for cookie in response.headers.getRawHeaders("Set-Cookie") or []:
            match = _COOKIE.match(cookie)
            if match is not None:
                return match[1]
        raise BadAnswer(f"{self._requests.base_url} logs in without a cookie, so it is no VidLink")

    async def log_out(self, *, is_everywhere: bool = False) -> int:
        """End the login whose token is shown, or all of its user; how many ended."""
        path = "/api/v1/logins" if is_everywhere else "/api/v1/login"
        answer = await self._requests.json(path, method="DELETE")
        ended = answer.get("ended") if isinstance(answer, dict) else None
        if not isinstance(ended, int):
            raise BadAnswer(f"{self._requests.base_url} does not say what has ended")
        return ended

    async def enrol(self, sentinel_id: str, machine: str, software: str) -> objects.Enrolled:
        """Have a machine given a token of its own, for that of a room, which is shown.

        :param machine: its fingerprint, 64 hexadecimal digits.
        :raises ~vidlink.errors.EnrolmentClosed: if no more are given.
        :raises ~vidlink.errors.Forbidden: if what is shown is no such token, or the machine was
            revoked.
        """
        value = {"sentinelId": sentinel_id, "machine": machine, "software": software}
        return await self._requests.read(
            objects.ENROLLED, "/api/v1/enrolments", method="POST", value=value
        )

    async def enrolments(self) -> AsyncIterator[Enrolment]:
        """Every machine that has enrolled, by id."""
        after: str | None = None
        while True:
            params = {"after": after, "limit": _MOST_ENROLMENTS}
            page = await self._requests.read(objects.ENROLMENTS, "/api/v1/enrolments", params)
            for one in page.enrolments:
                yield one
            after = page.next
            if after is None:
                return

    async def sentinels(self) -> tuple[SentinelStatus, ...]:
        """Every Sentinel that is connected or was ever recorded, by id."""
        found: list[SentinelStatus] = []
        params: dict[str, object] = {}
        while True:
            page = await self._requests.read(objects.SENTINELS, "/api/v1/sentinels", params)
            found += page.sentinels
            if page.next is None:
                return tuple(found)
            params = {"after": page.next}

    async def session_page(self, query: SessionQuery) -> SessionPage:
        """One page of sessions, newest first, without spans and gaps."""
        params = {
            "sentinel": query.sentinel_id,
            "group": query.group,
            "from": query.from_time_us,
            "to": query.to_time_us,
            "after": query.after,
            "limit": query.limit,
        }
        return await self._requests.read(objects.SESSIONS, "/api/v1/sessions", params)

    async def sessions(self, query: SessionQuery) -> AsyncIterator[SessionRecord]:
        """All sessions that match, newest first; `query.limit` of them are asked for at once."""
        while True:
            page = await self.session_page(query)
            for record in page.sessions:
                yield record
            if page.next is None:
                return
            query = replace(query, after=page.next)

    async def session(self, sentinel_id: str, session_id: str) -> SessionRecord:
        """One session with its spans and all of its gaps.

        Of very many spans only those up to `listed_to` are named.
        """
        record = await self._requests.read(objects.SESSION, _path(sentinel_id, session_id))
        after = record.listed_to
        if after is None:
            return record
        gaps = [gap for gap in record.gaps if gap.first is not None]
        while after is not None:
            query = SegmentQuery(after=after, limit=_MOST_SEGMENTS)
            page = await self.segment_page(sentinel_id, session_id, query)
            reached = gaps[-1].last if gaps else None
            gaps += (one for one in page.gaps if one.first is None or one.first > (reached or -1))
            after = page.next
        return replace(record, gaps=tuple(gaps))

    async def segment_page(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> SegmentPage:
        """One page of the segments of a session, in the order of their sequence."""
        params = {"from": query.from_time_us, "to": query.to_time_us}
        params |= {"after": query.after, "limit": query.limit}
        path = _path(sentinel_id, session_id) + "/segments"
        return (await self._requests.read(objects.SEGMENTS, path, params)).page

    async def segments(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> AsyncIterator[SegmentRecord]:
        """All segments that match; `query.limit` of them are asked for at once."""
        while True:
            page = await self.segment_page(sentinel_id, session_id, query)
            for segment in page.segments:
                yield segment
            if page.next is None:
                return
            query = replace(query, after=page.next)

    async def init(self, sentinel_id: str, session_id: str) -> bytes:
        """The initialization segment of a session."""
        response = await self._requests.ask(_path(sentinel_id, session_id) + "/init.mp4")
        return await self._requests.collect(response, MAX_INIT_BYTES)

    async def media(
        self,
        sentinel_id: str,
        session_id: str,
        first: int,
        last: int,
        *,
        max_bytes: int = MAX_MEDIA_BYTES,
    ) -> tuple[bytes, tuple[tuple[int, int], ...]]:
        """Segments `first` to `last` (at most 1,000) as received, and what of them is missing.

        :raises BadAnswer: if they are longer than `max_bytes`; :meth:`recording` has no such bound.
        """
        path = f"{_path(sentinel_id, session_id)}/segments/{first}-{last}"
        response = await self._requests.ask(path)
        missing = ", ".join(response.headers.getRawHeaders("VidLink-Missing", []))
        ranges = tuple((int(one), int(other)) for one, other in _MISSING.findall(missing))
        return await self._requests.collect(response, max_bytes), ranges

    async def recording(
        self,
        sentinel_id: str,
        session_id: str,
        sink: FilmSink,
        clip: ClipQuery = WHOLE,
        *,
        offset: int = 0,
        etag: str | None = None,
    ) -> Film:
        """Give a session, or a clip of it, to `sink` as one MP4 file; returns when all is there.

        A clip begins with the picture that was to be seen at its start. One with `last` stays
        what it is while its session is live.

        :param offset: how many bytes of it are there already, of the version `etag`; if the
            server has another one by now, it begins anew.
        :raises ~vidlink.errors.Unreachable: if the connection breaks on the way; `sink` has what
            had come.
        """
        headers = {}
        if offset and etag is not None:
            headers = {"Range": f"bytes={offset}-", "If-Range": etag}
        path = _path(sentinel_id, session_id) + "/recording.mp4"
        response = await self._requests.ask(
            path, _clip_params(clip), headers=headers, can_move=True
        )
        film = _film(response, offset)
        sink.begin(film)
        await self._requests.deliver(response, sink.write)
        return film

    async def recording_size(
        self, sentinel_id: str, session_id: str, clip: ClipQuery = WHOLE
    ) -> int:
        """The size in bytes of what :meth:`recording` would give now."""
        path = _path(sentinel_id, session_id) + "/recording.mp4"
        response = await self._requests.ask(path, _clip_params(clip), method="HEAD", can_move=True)
        size = (response.headers.getRawHeaders("Content-Length") or [""])[0]
        if _SIZE.fullmatch(size) is None:
            raise BadAnswer("the recording has no length, so it could not be checked")
        return int(size)

    async def delete(self, sentinel_id: str, session_id: str, *, rehearse: bool = False) -> Receipt:
        """Delete a session for good, or only tell what that would be; the receipt.

        :raises ~vidlink.errors.SessionLive: if it is being written to.
        :raises ~vidlink.errors.SessionHeld: if it is held.
        """
        params = {"dry-run": "true"} if rehearse else None
        path = _path(sentinel_id, session_id)
        return await self._requests.read(objects.RECEIPT, path, params, method="DELETE")

    async def hold(self, sentinel_id: str, session_id: str, reason: str | None) -> Hold | None:
        """Have a session not deleted by anybody, for `reason`; None releases it."""
        path = _path(sentinel_id, session_id) + "/hold"
        method, value = ("DELETE", None) if reason is None else ("PUT", {"reason": reason})
        return (
            await self._requests.read(objects.SESSION_HOLD, path, method=method, value=value)
        ).hold

    async def receipt_page(self, after: int | None, limit: int) -> ReceiptPage:
        """One page of receipts with numbers below `after` (None: of all), newest first."""
        params = {"after": after, "limit": limit}
        return await self._requests.read(objects.RECEIPTS, "/api/v1/receipts", params)

    async def receipts(self) -> AsyncIterator[Receipt]:
        """All receipts, newest first."""
        after: int | None = None
        while True:
            page = await self.receipt_page(after, 1_000)
            for receipt in page.receipts:
                yield receipt
            if page.next is None:
                return
            after = page.next

    async def audit_page(self, query: AuditQuery) -> AuditPage:
        """One page of the audit trail, newest first."""
        params = {
            "user": query.who,
            "sentinel": query.sentinel_id,
            "deed": None if query.deed is None else query.deed.value,
            "from": query.from_time_us,
            "to": query.to_time_us,
            "after": query.after,
            "limit": query.limit,
        }
        return await self._requests.read(objects.AUDIT, "/api/v1/audit", params)

    async def audit(self, query: AuditQuery) -> AsyncIterator[AuditEntry]:
        """All entries that match, newest first; `query.limit` of them are asked for at once."""
        while True:
            page = await self.audit_page(query)
            for entry in page.entries:
                yield entry
            if page.next is None:
                return
            query = replace(query, after=page.next)

    async def retention(self, limit: int) -> Retention:
        """The policy, what there is, and the first `limit` of what would go now."""
        params = {"limit": limit}
        return await self._requests.read(objects.RETENTION, "/api/v1/retention", params)

    async def request_keyframe(self, sentinel_id: str) -> None:
        """Have a Sentinel capture at once, as a keyframe."""
        await self._requests.json(_sentinel(sentinel_id) + "/keyframe", method="POST", value={})

    async def change_framerate(self, sentinel_id: str, framerate_mhz: int) -> int:
        """Have a Sentinel capture at another rate (mHz); returns what it was asked for."""
        path, value = _sentinel(sentinel_id) + "/framerate", {"framerate": framerate_mhz / 1000}
        asked = await self._requests.read(objects.FRAMERATE_ASKED, path, method="PUT", value=value)
        return asked.framerate_mhz


def open_history(
    address: str,
    reactor: Any,
    *,
    token: str | None = None,
    can_go_plain: bool = False,
    trust: Trust = TRUST_OF_SYSTEM,
) -> History:
    """The HTTP interface of the server at `address`.

    :param address: ``http://host:port``, ``https://host``, ``wss://host`` or a client endpoint
        string of Twisted's, as the Sentinel's ``--server`` takes it.
    :param reactor: the reactor.
    :param token: to be shown to that server, and to no other; None: nothing is shown.
    :param can_go_plain: the token may go over a network in the clear.
    :param trust: whom to believe over TLS, as :func:`~vidlink.dialling.trust.read_trust` gives it.
    :raises ~vidlink.errors.UserMistake: if `address` is none of these, `token` can be none, or it
        would go in the clear and may not.
    """
    read = read_address(address, reactor, PROCTOR_PATH, trust)
    return history_at(read, reactor, read.headers(token, can_go_plain=can_go_plain))


def history_at(read: Address, reactor: Any, headers: Mapping[str, str]) -> History:
    """As :func:`open_history`, at an address that is read already.

    :param headers: go with every request.
    """
    from treq.client import HTTPClient
    from twisted.web.client import Agent, HTTPConnectionPool

    pool = HTTPConnectionPool(reactor)
    agent = Agent.usingEndpointFactory(reactor, _Always(read.endpoint), pool)
    treq = AnyHost(HTTPClient(agent))
    return History(read.base_url, treq=treq, clock=reactor, pool=pool, headers=headers)


class _Always:
    """Connects to one endpoint, whatever the URL, and without a word to the log each time."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> Any:
        """The endpoint."""
        return self

    def connect(self, factory: Any) -> Any:
        """Connect, as the endpoint does."""
        factory.noisy = False
        return self._endpoint.connect(factory)


def _sentinel(sentinel_id: str) -> str:
    return "/api/v1/sentinels/" + quote(sentinel_id, safe="")


def _path(sentinel_id: str, session_id: str) -> str:
    return f"{_sentinel(sentinel_id)}/sessions/{quote(session_id, safe='')}"


def _clip_params(clip: ClipQuery) -> dict[str, int | None]:
    return {"start": clip.start_time_us, "end": clip.end_time_us, "last": clip.last}


def _film(response: Any, offset: int) -> Film:
    """The film that the headers of an answer announce.

    :raises BadAnswer: if they do not fit what was asked for.
    """
    etag = (response.headers.getRawHeaders("ETag") or [""])[0]
    size = response.length
    if not etag or not isinstance(size, int):
        raise BadAnswer("the recording has no ETag or no length, so it could not be checked")
    if response.code != 206:
        return Film(size, 0, etag)
    header = (response.headers.getRawHeaders("Content-Range") or [""])[0]
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None or (int(match[1]), int(match[1]) + size) != (offset, int(match[3])):
        raise BadAnswer(f"another part of the recording was sent than asked for: {header[:80]!r}")
    return Film(int(match[3]), offset, etag)
