"""Logging in and out over HTTP, enrolment, and tickets for whoever can show nothing but an address.

What lets somebody in is decided in :mod:`vidlink.access`. Nothing here is changed by anything but
JSON, which no form of another page can send; and the cookie of a login goes to pages of our own
site alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.http import CREATED
from twisted.web.resource import IResource
from twisted.web.server import Request

from vidlink.access.gate import LOGIN_US, Gate
from vidlink.access.hashing import MOST_PASSWORD
from vidlink.access.register import LOGIN
from vidlink.access.shown import cookie_name, with_ticket
from vidlink.access.tickets import UNUSED_SECONDS
from vidlink.audit.trail import Trail
from vidlink.errors import Forbidden, NotFound, RequestError
from vidlink.httpjson import objects
from vidlink.model import NOBODY, AuditQuery, Deed, Principal, Right
from vidlink.server.api import parameters
from vidlink.server.api.answers import (
    answer_failure,
    answer_now,
    asker,
    header_of,
    json_of,
    set_headers,
    to_its_end,
)
from vidlink.server.api.enrolling import Enrolling
from vidlink.server.api.parameters import Query
from vidlink.server.api.refusals import NeedsTls


class Access:
    """The paths by which somebody is let in.

    :param principal_of: whoever sends a request.
    :param trail: where it is written down who comes and goes.
    :param enrolling: gives machines tokens of their own.
    :param is_own: whether a request comes in the clear, but from this machine to itself.
    """

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        gate: Gate,
        *,
        principal_of: Callable[[Any], Principal],
        is_own: Callable[[Any], bool],
        trail: Trail,
        enrolling: Enrolling,
    ) -> None:
        self._gate = gate
        self._principal_of = principal_of
        self._is_own = is_own
        self._trail = trail
        self._enrolling = enrolling

    def resource(self) -> IResource:
        """The resource that answers these paths; it is a leaf."""
        return self.app.resource()

    @app.route("/api/v1/login", methods=["POST"])
    @to_its_end
    async def log_in(self, request: Request) -> bytes:
        """Let a user in by name and password; the browser gets a cookie."""
        Query(request.uri)
        if not (request.isSecure() or self._is_own(request)):
            self._trail.note(Deed.REFUSED, NOBODY, asker(request), why=NeedsTls.code)
            raise NeedsTls(
                "a password is taken over TLS only, or on the server's own machine: use https"
            )
        name, password = parameters.texts(
            json_of(request), user=parameters.LONGEST_NAME, password=MOST_PASSWORD
        )
        software = header_of(request, "User-Agent")
        try:
            token, principal = await self._gate.log_in(
                name, password, address=asker(request), software=software
            )
        except RequestError as error:
            self._trail.note(Deed.REFUSED, NOBODY, asker(request), user=name, why=error.code)
            raise
        self._trail.note(Deed.LOGGED_IN, principal, asker(request), software=software)
        set_login(request, token)
        return answer_now(request, {"name": principal.name})

    @app.route("/api/v1/login", methods=["DELETE"])
    @to_its_end
    async def log_out(self, request: Request) -> bytes:
        """End the login that the one who asks shows."""
        Query(request.uri)
        principal = self._principal_of(request)
        login_id = principal.credential_id.partition(":")[2]
        ended = await self._end(request, _user_of(principal), login_id)
        set_login(request, "", 0)
        # Media are kept for a year without asking, also for whoever sits down here next.
        set_headers(request, {"Clear-Site-Data": '"cache"'})
        return answer_now(request, {"ended": ended})

    @app.route("/api/v1/logins", methods=["GET"])
    def logins(self, request: Request) -> bytes:
        """Where a user is logged in: the one who asks, or for whoever manages another one."""
        user = self._whose(request)
        here = self._principal_of(request).credential_id
        rows = tuple(
            objects.LoginRow(one.login_id, one.created_us, one.expires_us, one.address,
                             one.software, here == f"{LOGIN}:{one.login_id}")
            for one in self._gate.register.logins(user)
        )  # fmt: skip
        return answer_now(request, objects.LOGINS.dump(objects.LoginList(user, rows)))

    @app.route("/api/v1/logins", methods=["DELETE"])
    @to_its_end
    async def log_out_everywhere(self, request: Request) -> bytes:
        """End every login of a user."""
        return answer_now(request, {"ended": await self._end(request, self._whose(request))})

    @app.route("/api/v1/logins/<login>", methods=["DELETE"])
    @to_its_end
    async def end_login(self, request: Request, login: str) -> bytes:
        """End one login of a user."""
        ended = await self._end(request, self._whose(request), login)
        if not ended:
            raise NotFound("there is no such login")
        return answer_now(request, {"ended": ended})

    @app.route("/api/v1/tickets", methods=["POST"])
    def ticket(self, request: Request) -> bytes:
        """A ticket for a path: a film, a playlist with its segments, the socket of proctors."""
        Query(request.uri)
        (path,) = parameters.texts(json_of(request), path=parameters.LONGEST_PATH)
        principal = self._principal_of(request)
        if Right.WATCH not in principal.rights:
            raise Forbidden("the credential does not give the right to watch")
        ticket = self._gate.tickets.issue(principal, path)
        url = with_ticket(path, ticket)
        return answer_now(request, {"ticket": ticket, "url": url, "seconds": UNUSED_SECONDS})

    @app.route("/api/v1/enrolments", methods=["POST"])
    @to_its_end
    async def enrol(self, request: Request) -> bytes:
        """Give a machine that shows the token of a room one of its own."""
        Query(request.uri)
        principal, address = self._principal_of(request), asker(request)
        asked_id, machine, software = parameters.texts(
            json_of(request),
            sentinelId=parameters.LONGEST_TEXT,
            machine=parameters.LONGEST_TEXT,
            software=parameters.LONGEST_SOFTWARE,
        )
        parameters.sentinel_id(asked_id)
        parameters.fingerprint(machine)
        try:
            made, token = await self._enrolling.enrol(
                principal, asked_id, machine, address=address, software=software
            )
        except RequestError as error:
            about = {"sentinel": asked_id, "machine": machine, "why": error.code}
            self._trail.note(Deed.REFUSED, principal, address, via="enrolment", **about)
            raise
        self._trail.note(
            Deed.ENROLLED, principal, address, sentinel=made.sentinel_id, machine=machine
        )
        request.setResponseCode(CREATED)
        own = objects.Enrolled(made.sentinel_id, token, principal.sentinel_group)
        return answer_now(request, objects.ENROLLED.dump(own))

    @app.route("/api/v1/enrolments", methods=["GET"])
    def enrolments(self, request: Request) -> bytes:
        """The machines that have enrolled, by id, paged."""
        query = Query(request.uri, ("after", "limit"))
        if Right.MANAGE not in self._principal_of(request).rights:
            raise Forbidden("the credential does not give the right to manage enrolments")
        after = query.sentinel_id("after") or ""
        limit = query.limit(parameters.USUAL_ENROLMENTS, parameters.MAX_ENROLMENTS)
        found = [one for one in self._gate.register.enrolments if one.sentinel_id > after]
        following = found[limit - 1].sentinel_id if len(found) > limit else None
        page = objects.EnrolmentPage(tuple(found[:limit]), following)
        return answer_now(request, objects.ENROLMENTS.dump(page))

    @app.route("/api/v1/audit", methods=["GET"])
    async def audit(self, request: Request) -> bytes:
        """Deeds and whose they were, newest first, paged."""
        query = Query(request.uri, ("user", "sentinel", "deed", "from", "to", "after", "limit"))
        if Right.AUDIT not in self._principal_of(request).rights:
            raise Forbidden("the credential does not give the right to audit")
        from_time_us, to_time_us = query.time_range_us()
        page = await self._trail.page(
            AuditQuery(
                who=query.text("user"),
                sentinel_id=query.sentinel_id("sentinel"),
                deed=query.word("deed", Deed),
                from_time_us=from_time_us,
                to_time_us=to_time_us,
                after=query.number("after"),
                limit=query.limit(parameters.USUAL_ENTRIES, parameters.MAX_ENTRIES),
            )
        )
        return answer_now(request, objects.AUDIT.dump(page))

    @app.handle_errors(Exception)
    def refuse(self, request: Any, failure: Failure) -> bytes:
        """Every error of the above, and of the table itself."""
        return answer_failure(request, failure)

    def _whose(self, request: Request) -> str:
        """The user that a request is about.

        :raises Forbidden: if that is another one than asks, who does not manage them.
        """
        user = Query(request.uri, ("user",)).text("user")
        principal = self._principal_of(request)
        if user is None:
            return _user_of(principal)
        if Right.MANAGE not in principal.rights:
            raise Forbidden("the credential does not give the right to manage other users")
        return user

    async def _end(self, request: Request, user: str, login_id: str | None = None) -> int:
        ended = await self._gate.register.change(lambda book: book.remove_logins(user, login_id))
        who = self._principal_of(request)
        self._trail.note(Deed.LOGGED_OUT, who, asker(request), user=user, logins=ended)
        return ended


def set_login(request: Request, token: str, seconds: int = LOGIN_US // 1_000_000) -> None:
    """Give the browser the cookie of a login, for so long; for none, take it away."""
    is_secure = request.isSecure()
    request.addCookie(
        cookie_name(is_secure).encode("ascii"),
        token.encode("ascii"),
        path=b"/",
        max_age=b"%d" % seconds,
        secure=is_secure,
        httpOnly=True,
        sameSite=b"strict",
    )


def _user_of(principal: Principal) -> str:
    """The user that has logged in.

    :raises NotFound: if it is none, but a token.
    """
    if not principal.credential_id.startswith(f"{LOGIN}:"):
        raise NotFound("this is no login of a user")
    return principal.name
