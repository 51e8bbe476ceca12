"""Media as HTTP answers: piece by piece, no faster than the client takes it.

One piece of one body is in memory for each client, however large the body and however slow the
client: the next piece is read when the transport has sent the last one. What was checked before,
and lies in a file and in the system's memory, is not read: the kernel sends it, where the transport
has a socket. Damage that shows after the header was sent breaks the connection, so that nobody
takes a truncated answer for whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import PARTIAL_CONTENT, datetimeToString
from twisted.web.server import Request
from zope.interface import implementer

from vidlink.errors import Damaged
from vidlink.interfaces import IBody, IStretch
from vidlink.server.api.answers import (
    CHECK_FIRST,
    FOR_EVER,
    conditions,
    content_etag,
    log_fault,
    not_modified,
    set_headers,
)
from vidlink.server.api.ranges import ByteRange, is_current, requested_range

PIECE_BYTES = 256 * 1024
#: So much of a file is sent by the kernel at a time, and no less; others have their turn between.
#: It is more than a socket has room for, so that each call fills one.
STRETCH_BYTES, LEAST_STRETCH_BYTES = 4 * 1024 * 1024, 64 * 1024


@implementer(IBody)
class SmallBody:
    """Bytes that are at hand, such as an initialization segment, which never changes."""

    def __init__(self, data: bytes, modified_us: int | None, *, is_final: bool = True) -> None:
        self._data = data
        self.modified_us, self.is_final = modified_us, is_final
        self.size_bytes = len(data)
        self.etag = content_etag(data)

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        """Fires at once with at most `size` octets from `offset`."""
        return succeed(self._data[offset : offset + size])

    def stretch(self, offset: int, size: int) -> IStretch | None:
        """It is in no file."""
        return None

    def at_hand(self, offset: int, size: int) -> bytes:
        """The same as is read."""
        return self._data[offset : offset + size]

    def again(self) -> IBody | None:
        """That it is there says nothing of what it was made of."""
        return None


async def send_body(
    request: Request, body: IBody, headers: Mapping[str, str], *, may_keep: bool
) -> bytes:
    """Answer `request` with `body`, or with the range of it that is asked for.

    `headers` go with every answer that has a body; `may_keep` allows a client to use what never
    changes without asking again. Returns what is left to be written; an error of
    :meth:`~vidlink.interfaces.IBody.read` is raised as long as it can still be answered.
    """
    asked = conditions(request)
    validators = {
        "ETag": f'"{body.etag}"',
        "Cache-Control": FOR_EVER if body.is_final and may_keep else CHECK_FIRST,
    }
    modified_seconds = _modified_seconds(body)
    if modified_seconds is not None:
        validators["Last-Modified"] = datetimeToString(modified_seconds).decode("ascii")
    if is_current(asked, body.etag, modified_seconds):
        set_headers(request, validators)
        return not_modified(request)
    is_get = request.method == b"GET"
    part = None
    if is_get:
        part = requested_range(asked, body.etag, body.size_bytes, modified_seconds)
    sent = part or ByteRange(0, body.size_bytes - 1)
    stretch = _stretch(request, body, sent) if is_get else None
    first_piece = await _read(body, sent) if is_get and stretch is None else b""
    set_headers(request, {**headers, **validators, "Accept-Ranges": "bytes"})
    set_headers(request, {"Content-Length": str(sent.size_bytes)})
    if part is not None:
        request.setResponseCode(PARTIAL_CONTENT)
        content_range = f"bytes {part.first}-{part.last}/{body.size_bytes}"
        set_headers(request, {"Content-Range": content_range})
    if len(first_piece) == sent.size_bytes or not is_get:
        return first_piece
    await _send_all(request, body, sent, stretch or first_piece)
    return b""


def _modified_seconds(body: IBody) -> int | None:
    """The date of `body`, in seconds since the epoch; None where there is none that is exact.

    What may still change has none, as it may change twice in a second; nor has what was received
    by a clock that was ahead of ours (RFC 9110 section 8.8.2.1).
    """
    if not body.is_final or body.modified_us is None:
        return None
    modified_seconds = int(body.modified_us // 1_000_000)
    return modified_seconds if 0 <= modified_seconds <= time.time() else None


class FilmSource:
    """A film that somebody has been given a part of, and asks for others of.

    :param again: gives the body once more, as :class:`~vidlink.interfaces.IBody` has it.
    :param note: notes that they are given of it.
    """

    def __init__(self, again: Callable[[], IBody | None], note: Callable[[], None]) -> None:
        self._again, self._note = again, note

    def again(self) -> IBody | None:
        """The body, if it is what it was; that it is given out is noted."""
        body = self._again()
        if body is not None:
            self._note()
        return body

    def first_piece(
        self, request: Any, body: IBody, first: int, last: int
    ) -> bytes | IStretch | None:
        """The beginning of these octets, if that is at hand."""
        part = ByteRange(first, last)
        stretch = _stretch(request, body, part)
        return stretch or body.at_hand(first, min(PIECE_BYTES, part.size_bytes))

    async def send_rest(self, request: Any, body: IBody, first: int, last: int) -> None:
        """Send these octets."""
        await _send_all(request, body, ByteRange(first, last), b"")


async def _send_all(
    request: Request, body: IBody, sent: ByteRange, piece: bytes | IStretch
) -> None:
    """Send `sent`, which begins with `piece`; that may be nothing."""
    gate = _Gate()
    sender: Any = request
    request.registerProducer(gate, True)
    place = sent.first
    try:
        while True:
            if isinstance(piece, bytes):
                if piece:
                    request.write(piece)
                place += len(piece)
            else:
                place += await sender.send_file(piece)
            if place > sent.last:
                return
            await gate.passed()
            left = ByteRange(place, sent.last)
            piece = _stretch(request, body, left) or await _read(body, left)
    except CancelledError:
        raise
    except Exception as error:
        log_fault(request, f" cut off at byte {place}", error)
        transport: Any = request.transport
        transport.abortConnection()
        # The answer must not end as if it were whole; the lost connection cancels this.
        await Deferred()
    finally:
        # A request whose connection is lost has no channel any more, and no producer.
        if request.channel is not None:
            request.unregisterProducer()


def _stretch(request: Any, body: IBody, part: ByteRange) -> IStretch | None:
    """The beginning of `part` as it lies in a file, if that can be sent by the kernel, and is worth
    it."""
    if part.size_bytes < LEAST_STRETCH_BYTES or not getattr(request, "can_send_files", False):
        return None
    stretch = body.stretch(part.first, min(STRETCH_BYTES, part.size_bytes))
    return None if stretch is None or stretch.size < LEAST_STRETCH_BYTES else stretch


async def _read(body: IBody, part: ByteRange) -> bytes:
    """The first piece of `part`; never fewer bytes than that."""
    wanted = min(PIECE_BYTES, part.size_bytes)
    piece = await body.read(part.first, wanted)
    if len(piece) != wanted:
        raise Damaged(f"{len(piece)} bytes instead of {wanted} at {part.first}")
    return piece


@implementer(IPushProducer)
class _Gate:
    """Open while the transport has room."""

    def __init__(self) -> None:
        self._opened: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """The transport is full."""
        if self._opened is None:
            self._opened = Deferred()

    def resumeProducing(self) -> None:
        """The transport has sent what it had."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.callback(None)

    def stopProducing(self) -> None:
        """The connection is lost; the request's end cancels whoever waits here."""

    async def passed(self) -> None:
        """Return when there is room."""
        if self._opened is not None:
            await self._opened
