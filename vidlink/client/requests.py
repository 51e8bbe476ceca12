"""Single HTTP requests to one server: sent with treq, answered within bounds or with an error.

What the paths are, and what the answers mean, is :mod:`vidlink.client.history`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

from hyperlink import EncodedURL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from vidlink.client.failures import answered, broken
from vidlink.errors import Answered, BadAnswer, Unreachable
from vidlink.httpjson.table import T, Table
from vidlink.timer import Timer
from vidlink.wire.kinds import Misfit

#: An answer has to begin within this time,
ANSWER_SECONDS = 30.0
#: and go on within this.
STALL_SECONDS = 60.0
MAX_JSON_BYTES = 64 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
#: The status that says so: 307, Temporary Redirect.
_ELSEWHERE = 307
#: The status of what is there no more in the version that is asked for: 412, Precondition Failed.
_CHANGED = 412

#: Takes what has arrived; what it returns, if it is a Deferred, is waited for before more is read.
Write = Callable[[bytes], "Deferred[Any] | None"]


class Requests:
    """Sends requests to the server at `base_url`.

    :param treq: a :class:`treq.client.HTTPClient`, or what stands in for one.
    :param clock: `IReactorTime`.
    :param headers: go with every one.
    """

    def __init__(
        self, base_url: str, treq: Any, clock: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        self.base_url = base_url
        self._headers = dict(headers or {})
        self._treq = treq
        self._clock = clock

    async def json(
        self,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        method: str = "GET",
        value: object = None,
    ) -> Any:
        """The JSON at `path`; parameters that are None are left out."""
        body = None if value is None else json.dumps(value).encode("ascii")
        headers = {} if body is None else {"Content-Type": "application/json"}
        response = await self.ask(path, params, method=method, headers=headers, data=body)
        octets = await self.collect(response, MAX_JSON_BYTES)
        try:
            return json.loads(octets)
        except (ValueError, RecursionError):
            raise BadAnswer(f"{self.base_url} answers without JSON, so it is no VidLink") from None

    async def read(self, table: Table[T], path: str, *asked: Any, **named: Any) -> T:
        """The value that :meth:`json` gives as an object of `table`.

        :raises BadAnswer: if it is no such object.
        """
        plain = await self.json(path, *asked, **named)
        try:
            return table.load(plain)
        except Misfit as misfit:
            where = ": " if misfit.path else ""
            raise BadAnswer(f"the server's answer{where}{misfit}") from None

    async def ask(
        self,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        can_move: bool = False,
    ) -> Any:
        """The response to a request, its body not read yet; an answered error is raised.

        `can_move`: what is asked for may be said to be beside it, and is asked for there, once.
        """
        given = {name: str(one) for name, one in (params or {}).items() if one is not None}
        asked: Deferred[Any] = self._treq.request(
            method,
            self.base_url + path,
            params=given,
            headers={**self._headers, **(headers or {})},
            data=data,
            # What shows who we are would be taken along, to wherever it says.
            allow_redirects=False,
            unbuffered=True,
            reactor=self._clock,
        )
        response = await self._in_time(asked)
        if response.code < 300:
            return response
        body = await self.collect(response, _MAX_ERROR_BYTES)
        if can_move and response.code == _ELSEWHERE:
            where = urljoin(path, (response.headers.getRawHeaders("Location") or [""])[0])
            if where.partition("?")[0] != path:
                raise BadAnswer(f"{self.base_url} sends to another place for {path}")
            return await self._ask_there(where, method, headers)
        raise answered(self.base_url, response.code, body)

    async def _ask_there(self, path: str, method: str, headers: Mapping[str, str] | None) -> Any:
        """The response at the address of what there was when it was given out.

        :raises Unreachable: if there is something else by now: to be asked for again.
        """
        try:
            return await self.ask(path, method=method, headers=headers)
        except Answered as error:
            if error.http_status != _CHANGED:
                raise
            raise Unreachable("what is asked for has changed at this moment") from None

    async def collect(self, response: Any, max_bytes: int) -> bytes:
        """The whole body.

        :raises BadAnswer: if it is longer than `max_bytes`.
        """
        pieces: list[bytes] = []
        held = 0

        def keep(data: bytes) -> None:
            nonlocal held
            held += len(data)
            if held > max_bytes:
                raise BadAnswer(f"{self.base_url} answers with more than {max_bytes} bytes")
            pieces.append(data)

        await self.deliver(response, keep)
        return b"".join(pieces)

    async def deliver(self, response: Any, write: Write) -> None:
        """Give the body to `write`, piece by piece; what that raises breaks it off.

        :raises Unreachable: if it ended before its end, or stalled.
        """
        receiver = _Receiver(write, self._clock)
        response.deliverBody(receiver)
        try:
            await receiver.done
        except Exception as error:
            raise broken(self.base_url, error) from None

    async def _in_time(self, asked: Deferred[Any]) -> Any:
        def give_up(*_: object) -> None:
            raise Unreachable(f"{self.base_url} has not answered within {ANSWER_SECONDS:g} s")

        try:
            return await asked.addTimeout(ANSWER_SECONDS, self._clock, give_up)
        except Exception as error:
            raise broken(self.base_url, error) from None


class _Url(EncodedURL):
    """A URL whose host is ASCII already. Hyperlink would encode it once more, as a name, which
    an address of version 6 is not.
    """

    def to_uri(self) -> EncodedURL:
        """The URL with all of its path and query in ASCII."""
        return EncodedURL.to_uri(self.replace(host="")).replace(host=self.host)


class AnyHost:
    """The treq client `treq`, for URLs whose host is an address of version 6 as well."""

    def __init__(self, treq: Any) -> None:
        self._treq = treq

    def request(self, method: str, url: str, **wishes: Any) -> Any:
        """Send a request to `url`, as treq does."""
        return self._treq.request(method, _Url.from_text(url), **wishes)


class _Receiver(Protocol):
    """Takes one body. `done` fires when all is written; cancelled, it breaks the connection."""

    def __init__(self, write: Write, clock: Any) -> None:
        self._write = write
        self._stall = Timer(clock)
        self._is_writing = False
        self._end: Failure | None = None
        self.done: Deferred[None] = Deferred(lambda _: self._break_off(CancelledError()))

    def connectionMade(self) -> None:
        """The body begins."""
        self._watch()

    def dataReceived(self, data: bytes) -> None:
        """A piece of it."""
        if self.done.called:
            return
        self._watch()
        try:
            written = self._write(data)
        except Exception as error:
            self._break_off(error)
            return
        if isinstance(written, Deferred):
            self._stall.stop()
            self._is_writing = True
            transport: Any = self.transport
            transport.pauseProducing()
            written.addCallbacks(lambda _: self._go_on(), lambda why: self._break_off(why.value))

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        """The body is over, or broken off; what is still being written is waited for."""
        self._stall.stop()
        self._end = reason
        self._finish()

    def _finish(self) -> None:
        if self._end is None or self._is_writing or self.done.called:
            return
        if self._end.check(ResponseDone):
            self.done.callback(None)
        else:
            self.done.errback(self._end)

    def _go_on(self) -> None:
        self._is_writing = False
        self._finish()
        if not self.done.called:
            transport: Any = self.transport
            self._watch()
            transport.resumeProducing()

    def _watch(self) -> None:
        self._stall.start(STALL_SECONDS, self._stalled)

    def _stalled(self) -> None:
        self._break_off(Unreachable(f"nothing has come for {STALL_SECONDS:g} s"))

    def _break_off(self, error: BaseException) -> None:
        self._stall.stop()
        if not self.done.called:
            self.done.errback(error)
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
