"""The WebSocket that Proctors watch on; the conversation is :mod:`vidlink.links.watch`."""

from __future__ import annotations

import secrets
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from zope.interface import implementer

from vidlink.audit.trail import unnoted
from vidlink.interfaces import IProctorPeer
from vidlink.links.watch.conversation import Watch
from vidlink.model import USUAL, Bounds, Deed, Frame, Right
from vidlink.server.sockets.link import LinkFactory, LinkProtocol
from vidlink.server.sockets.outlet import is_empty, send
from vidlink.wire.bounds import MAX_CONTROL_BYTES

#: So much the kernel may hold of one viewer's frames; left to itself it takes 4 MiB. Linux takes
#: twice what it is told, for its own books.
SEND_BUFFER_BYTES = 256 * 1024
#: A frame is written in pieces of this, each when the transport has room.
PIECE_BYTES = 64 * 1024
#: So many frames are sent at once.
MOST_FRAMES = 256
#: One that is far behind, and takes whatever comes, is sent so much before the others have their
#: turn.
TURN_BYTES = 512 * 1024


@implementer(IProctorPeer)
class WatchProtocol(LinkProtocol):
    """One Proctor's connection: it pulls frames while the transport has room.

    Its send budget is the transport's buffer (64 KiB) and one piece more, and over TLS another
    piece; beyond that the frames stay where they are, shared, in the memory buffers. Of a frame
    that has begun the rest is held until it has been taken, and so is that of frames of 64 KiB
    together that were given to the kernel at once; then comes what else there is.
    """

    factory: WatchFactory
    conversation: Watch
    _is_due = False
    _is_leaving = False

    def __init__(self) -> None:
        super().__init__()
        # What has to be written before anything else: it is empty unless `is_paused`.
        self._unwritten: deque[memoryview] = deque()

    def onOpen(self) -> None:
        """Begin the conversation."""
        self.conversation = self.factory.converse(self)
        kernel = getattr(self.transport, "socket", None)
        if kernel is not None:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        super().onOpen()
        self._log.info("{peer}: a proctor is connected", peer=self.peer)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over: nothing is followed any more."""
        if self.conversation is not None:
            self._log.info("{peer}: a proctor has left", peer=self.peer)
        self._unwritten.clear()
        super().onClose(wasClean, code, reason)

    def sendData(self, data: bytes, *how: Any, **named: Any) -> None:
        """Send what Autobahn says of itself after a frame that has begun, not within it."""
        if self._unwritten:
            self._unwritten.append(memoryview(data))
        else:
            super().sendData(data, *how, **named)

    def dropConnection(self, abort: bool = False) -> None:
        """Leave once all is written, the answer to the peer's close being the last of it."""
        self._is_leaving = bool(self._unwritten) and not abort
        if self._is_leaving:
            self._linger_on()
        else:
            super().dropConnection(abort)

    def wake(self) -> None:
        """There is something to pull; it is done once, when this reactor turn is over."""
        if not self._is_due and not self.is_paused:
            self._is_due = True
            self.factory.turn_end.call(self._flush)

    def resumeProducing(self) -> None:
        """The transport is empty."""
        super().resumeProducing()
        self._flush()

    def _flush(self) -> None:
        self._is_due = False
        try:
            self._fill()
        except Exception:
            # Left open, it would show an old picture for ever; cut off, it comes again.
            self._log.failure("{peer}: a proctor is cut off", peer=self.peer)
            self.transport.abortConnection()

    def _fill(self) -> None:
        left = TURN_BYTES
        while not self.is_paused:
            if self._unwritten:
                self._write_piece()
            elif self._is_leaving:
                self.dropConnection()
            elif left <= 0:
                self.wake()
                return
            elif self.state != self.STATE_OPEN:
                return
            else:
                size, is_all = self._send_some()
                if is_all and not self._unwritten:
                    return
                left -= size

    def _send_some(self) -> tuple[int, bool]:
        """Send what is next, if only to the transport; the octets of it, and if that was all."""
        pull = self.conversation.pull
        frame = pull()
        if frame is None:
            return 0, True
        if not self._has_outlet or not is_empty(self.transport):
            self._write(frame)
            return len(frame), False
        frames, size = [frame], len(frame)
        while size < PIECE_BYTES and len(frames) < MOST_FRAMES:
            frame = pull()
            if frame is None:
                break
            frames.append(frame)
            size += len(frame)
        if self.state != self.STATE_OPEN:
            # What has closed it meanwhile has said so, and nothing comes after that.
            return 0, True
        sent = send(self.transport, frames)
        if sent < size:
            for one in frames:
                if sent < len(one):
                    self._unwritten.append(memoryview(one)[sent:])
                sent = max(0, sent - len(one))
        return size, frame is None

    def _write(self, frame: Frame) -> None:
        if len(frame) <= PIECE_BYTES:
            self.transport.write(frame)
        else:
            self._unwritten.append(memoryview(frame))

    def _write_piece(self) -> None:
        rest = self._unwritten.popleft()
        if len(rest) > PIECE_BYTES:
            self._unwritten.appendleft(rest[PIECE_BYTES:])
        self.transport.write(bytes(rest[:PIECE_BYTES]))


def _of(did: Callable[..., None], peer: WatchProtocol, deed: Deed, **about: str | int) -> None:
    did(deed, peer.principal, peer.host, **about)


class WatchFactory(LinkFactory):
    """Makes the connections of ``/ws/proctor``.

    The other parameters are those of :class:`~vidlink.server.sockets.link.LinkFactory`.

    :param did: called with every deed that is to be written down, as :meth:`Trail.note
        <vidlink.audit.trail.Trail.note>` is.
    """

    protocol = WatchProtocol
    right = Right.WATCH
    max_message_bytes = MAX_CONTROL_BYTES
    links: set[WatchProtocol]

    def __init__(
        self,
        *arguments: Any,
        did: Callable[..., None] = unnoted,
        bounds: Bounds = USUAL,
        **named: Any,
    ) -> None:
        most_each = bounds.sockets_per_credential
        super().__init__(*arguments, most_each=most_each, bounds=bounds, **named)
        self._did = did

    def converse(self, peer: WatchProtocol) -> Watch:
        """The conversation of a new connection."""
        return Watch(
            peer,
            self.hub,
            peer.codec,
            proctor_id=secrets.token_urlsafe(12),
            seconds=self.hub.seconds,
            wall_clock_us=self.wall_clock_us,
            principal=peer.principal,
            did=partial(_of, self._did, peer),
            bounds=self.bounds,
        )
