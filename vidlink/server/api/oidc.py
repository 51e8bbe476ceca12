"""Logging in at an identity provider, over HTTP: the way there and back.

A browser visits both as pages, so what goes wrong is told as a page to whoever takes one. The
cookie of the way has to be sent when the provider's page leads here, as that of a login never is;
it lets nobody in.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from http import HTTPStatus
from typing import Any

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request

from vidlink.access.gate import Gate
from vidlink.access.oidc.returning import RETURN_SECONDS, Returning
from vidlink.access.oidc.settings import ABOUT, CALLBACK, START
from vidlink.access.shown import cookie_name
from vidlink.audit.trail import Trail
from vidlink.errors import NotFound, RequestError
from vidlink.model import NOBODY, Deed
from vidlink.server.api.access import set_login
from vidlink.server.api.answers import (
    NEVER,
    answer_failure,
    answer_now,
    answer_text,
    asker,
    header_of,
    set_headers,
    to_its_end,
)
from vidlink.server.api.parameters import Query
from vidlink.server.api.refusals import BadHeader, NeedsTls

#: From there to the page of the server.
_HOME = "../../../"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in \u2013 VidLink</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="{home}style.css"></head>
<body class="way-in"><main><h1>VidLink</h1><p role="alert">{said}</p>
<p><a href="{home}">Back</a></p></main></body></html>
"""


class Oidc:
    """The paths by which whoever is known to an identity provider is let in.

    :param returning: the provider; None if there is none.
    :param is_own: whether a request comes in the clear, but from this machine to itself.
    """

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        returning: Returning | None,
        gate: Gate,
        *,
        is_own: Callable[[Any], bool],
        trail: Trail,
    ) -> None:
        self._returning = returning
        self._gate = gate
        self._is_own = is_own
        self._trail = trail

    def resource(self) -> IResource:
        """The resource that answers these paths; it is a leaf."""
        return self.app.resource()

    @app.route(ABOUT, methods=["GET"])
    def about(self, request: Request) -> bytes:
        """The name of the provider where one can log in; null if there is none."""
        Query(request.uri)
        name = None if self._returning is None else self._returning.name
        return answer_now(request, {"name": name})

    @app.route(START, methods=["GET"])
    async def start(self, request: Request) -> bytes:
        """Send the browser to the provider."""
        Query(request.uri)
        returning = self._found()
        where, secret = await returning.begin(self._callback(request), asker(request))
        _set_way(request, secret, RETURN_SECONDS)
        return _go(request, where)

    @app.route(CALLBACK, methods=["GET"])
    @to_its_end
    async def come_back(self, request: Request) -> bytes:
        """Let in whoever the provider vouches for; the browser gets the cookie of a login."""
        returning, address = self._found(), asker(request)
        secret = request.getCookie(_way_name(request).encode("ascii"))
        query = request.uri.partition(b"?")[2].decode("latin-1")
        software = header_of(request, "User-Agent")
        try:
            person = await returning.finish(
                None if secret is None else secret.decode("latin-1"),
                query,
                self._callback(request),
                address,
            )
            token, principal = await self._gate.log_in_vouched(
                person.user, address=address, software=software
            )
        except RequestError as error:
            self._trail.note(Deed.REFUSED, NOBODY, address, via="oidc", why=error.code)
            raise
        finally:
            # It is good for one way.
            _set_way(request, "", 0)
        self._trail.note(
            Deed.LOGGED_IN, principal, address, via="oidc", called=person.called, software=software
        )
        set_login(request, token)
        return _go(request, _HOME)

    @app.handle_errors(Exception)
    def refuse(self, request: Any, failure: Failure) -> bytes:
        """Every error of the above, and of the table itself; as a page to whoever takes one."""
        body = answer_failure(request, failure)
        error = failure.value
        if not isinstance(error, RequestError) or "text/html" not in header_of(request, "Accept"):
            return body
        page = _PAGE.format(home=_HOME, said=escape(_sentence(str(error))))
        return answer_text(request, page.encode("utf-8"), "text/html; charset=utf-8")

    def _found(self) -> Returning:
        if self._returning is None:
            raise NotFound("this server knows no identity provider")
        return self._returning

    def _callback(self, request: Request) -> str:
        """The address that the provider has to send the browser back to: where it is now.

        :raises NeedsTls: if anybody on the way could read what comes back.
        """
        is_secure = request.isSecure()
        if not (is_secure or self._is_own(request)):
            raise NeedsTls("one logs in over TLS only, or on the server's own machine: use https")
        host = header_of(request, "Host")
        if not host:
            raise BadHeader("the header Host is missing")
        return f"{'https' if is_secure else 'http'}://{host}{CALLBACK}"


def _way_name(request: Request) -> str:
    return f"{cookie_name(request.isSecure())}-oidc"


def _set_way(request: Request, secret: str, seconds: int) -> None:
    request.addCookie(
        _way_name(request).encode("ascii"),
        secret.encode("ascii"),
        path=b"/",
        max_age=b"%d" % seconds,
        secure=request.isSecure(),
        httpOnly=True,
        # A page of the provider's leads back here.
        sameSite=b"lax",
    )


def _go(request: Request, where: str) -> bytes:
    request.setResponseCode(HTTPStatus.SEE_OTHER, b"See Other")
    set_headers(request, {"Location": where, "Content-Length": "0", "Cache-Control": NEVER})
    return b""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
