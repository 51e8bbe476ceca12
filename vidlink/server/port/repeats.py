"""Requests that are the last one of their connection once more, but for their range.

A player asks so for a film, a hundred times. What was found out about the first one holds for the
others as octet by octet they are the same: to whom it was sent, from what page, by whom, over what;
and what stands in the head of the answer. Whether they may have it still, how many they may ask for
at a time, and whether the body is what it was, is looked at each time. Whatever is not plainly such
a repeat is answered as any other request.

Bound: what is kept of the last request of a connection is its head and that of its answer.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http import PARTIAL_CONTENT

from vidlink.interfaces import IBody, IStretch
from vidlink.model import Principal

if TYPE_CHECKING:
    from vidlink.access.gate import Gate

_END = b"\r\n\r\n"
_RANGE = re.compile(rb"\r\nrange:[ \t]*bytes=([0-9]+-[0-9]*)(?=\r\n)", re.IGNORECASE)
#: No film is so large that its octets have more digits.
_NUMBERS = re.compile(rb"([0-9]{1,16})-([0-9]{0,16})")


class Source(Protocol):
    """Where the body of a repeat comes from."""

    def again(self) -> IBody | None:
        """The body as it would be given to who asks now; the deed is noted. None: ask for it."""

    def first_piece(
        self, request: Any, body: IBody, first: int, last: int
    ) -> bytes | IStretch | None:
        """The beginning of the octets `first` to `last`, if that is at hand."""

    def send_rest(
        self, request: Any, body: IBody, first: int, last: int
    ) -> Coroutine[Any, Any, None]:
        """Send them; the head of the answer has been sent."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The credential that somebody has shown to be let in, for what, and from where."""

    token: str | None
    ticket: str | None
    path: str
    principal: Principal
    #: By whom what they have under way is counted.
    whose: Hashable
    address: IAddress

    def is_let_in(self, gate: Gate) -> bool:
        """True if it gives now what it gave."""
        return gate.recognise(self.token, self.ticket, self.path) == self.principal


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request that may come again: `before` and `after` its range, and the `lines` of the head of
    its answer that do not depend on that."""

    before: bytes
    after: bytes
    lines: bytes
    uri: bytes
    shown: Shown
    source: Source

    def range_of(self, data: bytes, size_bytes: int) -> tuple[int, int] | None:
        """The first and the last octet that `data` asks for of so many; None if it is no repeat of
        this, or has to be answered by something else than a part."""
        found = _NUMBERS.fullmatch(data, len(self.before), len(data) - len(self.after))
        if found is None:
            return None
        first, last = int(found[1]), int(found[2]) if found[2] else size_bytes - 1
        return (first, min(last, size_bytes - 1)) if first <= last and first < size_bytes else None

    def is_repeated_by(self, data: bytes) -> bool:
        """True if `data` is this request, but maybe for its range."""
        return data.startswith(self.before) and data.endswith(self.after)

    def head(self, first: int, last: int, size_bytes: int, date: bytes) -> bytes:
        """The head of the answer with these octets, of so many."""
        return b"%bContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\nDate: %b\r\n\r\n" % (
            self.lines,
            last - first + 1,
            first,
            last,
            size_bytes,
            date,
        )


def is_whole(data: bytes) -> bool:
    """True if `data` is the head of one GET, and nothing else."""
    return data.startswith(b"GET ") and data.endswith(_END) and data.count(_END) == 1


def without_range(head: bytes) -> tuple[bytes, bytes] | None:
    """The octets before and after the range that the `head` of a request asks for; None if it asks
    for none, or not only for one."""
    found = _RANGE.search(head)
    if found is None or head.lower().count(b"\nrange") != 1:
        return None
    return head[: found.start(1)], head[found.end(1) :]


class Repeated:
    """A repeat that is being answered, where that takes longer than a moment.

    It is to a channel, and to whoever sends a body, what a request is.
    """

    method = b"GET"
    code = PARTIAL_CONTENT
    startedWriting = True

    def __init__(self, channel: Any, repeat: Repeat) -> None:
        self.channel: Any = channel
        self.transport = channel.transport
        self.uri, self.path = repeat.uri, repeat.uri.partition(b"?")[0]
        self.principal = repeat.shown.principal
        self.sentLength = 0
        self._repeat = repeat
        self._sending: Deferred[None] | None = None

    def send(self, body: IBody, first: int, last: int) -> None:
        """Send what is left of it, and have the channel go on then."""
        site, whose = self.channel.factory, self._repeat.shown.whose
        site.answering.add(self)
        self._sending = Deferred.fromCoroutine(
            self._repeat.source.send_rest(self, body, first, last)
        )

        def over(result: object) -> object:
            site.requests.give_back(whose)
            site.answering.discard(self)
            return result

        self._sending.addBoth(over)
        self._sending.addCallbacks(self._finish, self._fail)

    # As a request has it

    def getClientAddress(self) -> IAddress:
        """Where the client is."""
        return self._repeat.shown.address

    @property
    def can_send_files(self) -> bool:
        """True if the kernel can send a stretch of a file as a part of the answer."""
        return self.channel is not None and bool(self.channel.can_send_files)

    async def send_file(self, stretch: IStretch) -> int:
        """Send a stretch of a file; returns how many octets of it were sent, fewer if it fails."""
        sent_bytes = int(await self.channel.send_file(stretch))
        self.sentLength += sent_bytes
        return sent_bytes

    def write(self, data: bytes) -> None:
        """Send a piece."""
        self.sentLength += len(data)
        if self.channel is not None:
            self.channel.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have `producer` told when there is room."""
        self.channel.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Tell it no more."""
        self.channel.unregisterProducer()

    def break_off(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone."""
        self.channel = None
        if self._sending is not None:
            self._sending.cancel()

    def _finish(self, _: object) -> None:
        if self.channel is not None:
            self.channel.repeated(self)

    def _fail(self, failure: Failure) -> Failure | None:
        if failure.check(CancelledError) and self.channel is None:
            return None
        self.break_off()
        return failure
