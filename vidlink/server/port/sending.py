"""The sending of a stretch of a file by the kernel, no faster than a client takes it.

It owns the place in the file. The transport is used as its producer would: it says when there is
room, what it holds itself having gone before. Over TLS, and on whatever else has no socket of its
own, nothing is sent so.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred

from vidlink.interfaces import IStretch
from vidlink.server.port.door import Door
from vidlink.server.port.lobby import beneath

#: macOS has another call of that name.
sendfile = os.sendfile if hasattr(os, "splice") else None
#: So many octets of files are sent in one turn of the reactor, in three milliseconds or so, and
#: those of one more call.
MOST_SENT_BYTES = 8 * 1024 * 1024
#: More follows at once: what is sent with this goes out together with that. Linux alone has it.
_MORE: int = getattr(socket, "MSG_MORE", 0)


def can_send_files(transport: Any) -> bool:
    """True if the kernel can put a file into `transport`."""
    is_plain = beneath(transport) is transport and not getattr(transport, "TLS", False)
    return sendfile is not None and is_plain and hasattr(transport, "socket")


def can_send_now_to(transport: Any) -> bool:
    """True if the socket of `transport` may be written to past it, when nothing waits in it."""
    is_plain = isinstance(transport, FileDescriptor) and not getattr(transport, "TLS", False)
    return is_plain and hasattr(getattr(transport, "socket", None), "sendmsg")


def can_send_now(transport: Any) -> bool:
    """True if nothing waits in `transport`, and it is connected."""
    # Twisted's own words for what was written to it and not sent.
    is_empty = not transport.dataBuffer and not transport._tempDataBuffer
    return is_empty and bool(transport.connected) and not transport.disconnecting


def send_now(transport: Any, pieces: Sequence[bytes]) -> int:
    """The octets of `pieces` that the kernel takes at once."""
    try:
        return int(transport.socket.sendmsg(pieces))
    except OSError:
        # Whoever writes or reads next meets the same, and says it.
        return 0


def send_file_now(transport: Any, head: bytes, stretch: IStretch) -> tuple[int, int]:
    """The octets of `head` that the kernel takes at once, and if that was all of them of `stretch`
    behind it."""
    assert sendfile is not None, "nothing is sent so where it cannot be"
    try:
        taken = int(transport.socket.send(head, _MORE))
    except OSError:
        return 0, 0
    if taken < len(head):
        return taken, 0
    try:
        number = transport.socket.fileno()
        return taken, sendfile(number, stretch.descriptor, stretch.offset, stretch.size)
    except OSError:
        return taken, 0


class Sending:
    """One stretch on its way; `done` fires with the number of octets when no more of it can be
    sent, because that was all, or because the file or the socket has failed.

    :param files: has room for so much in this turn.
    :param moved: called with how much was sent in all, each time that there was no room for more.
    :param over: called when nothing of it waits for the client any more.
    """

    def __init__(
        self,
        transport: Any,
        stretch: IStretch,
        files: Door,
        moved: Callable[[int], None],
        over: Callable[[], None],
    ) -> None:
        self.done: Deferred[int] = Deferred()
        self.sent_bytes, self.size_bytes = 0, stretch.size
        self._transport = transport
        self._stretch = stretch
        self._files = files
        self._moved, self._over = moved, over

    def wait(self) -> None:
        """Have the channel told when the client has taken what was written before."""
        # As the transport does itself when it holds too much.
        self._transport.producerPaused = True
        self._transport.startWriting()

    def begin(self) -> None:
        """Send: the transport holds nothing any more."""
        if self._is_all_sent():
            self._finish()
            return
        # What it does itself with nothing to write costs as much as the sending: each time it asks
        # the kernel to take nothing, and to be told no more, and then to be told again.
        self._transport.doWrite = self._write
        self._transport.startWriting()
        self._moved(self.sent_bytes)

    def end(self) -> None:
        """Let the transport do as ever."""
        self._transport.__dict__.pop("doWrite", None)

    def _write(self) -> None:
        """Send as much as there is room for, instead of what the transport holds."""
        if self._is_all_sent():
            self.end()
            self._transport.stopWriting()
            self._finish()
        else:
            self._moved(self.sent_bytes)

    def _finish(self) -> None:
        self._over()
        self.done.callback(self.sent_bytes)

    def _is_all_sent(self) -> bool:
        """Send what there is room for; True if no more of it can be sent."""
        if not self._files.has_room:
            return False
        assert sendfile is not None, "nothing is sent so where it cannot be"
        stretch, sent = self._stretch, self.sent_bytes
        number = self._transport.socket.fileno()
        try:
            count = sendfile(number, stretch.descriptor, stretch.offset + sent, stretch.size - sent)
        except BlockingIOError:
            return False
        except OSError:
            # Whoever writes or reads next meets the same, and says it.
            return True
        self._files.count(count)
        self.sent_bytes += count
        return count == 0 or self.sent_bytes == stretch.size
